// Copies of chosen rows, as they are or scaled to length one.
//
//   rows[g,i,:] = candidates[g, indices[g,i], :], or that / |that|, and zero where the length is below 1e-12
//
// Candidates of a group are its queries, then its keys. Copies may be written as rows, or in blocks of four columns (src/params/prototypes.rs).
//
// Grid: one invocation a copy, numbered g * rows + i with g = (b * heads + h) * groups + group, 64 in a workgroup. Limits: rows of at
// most 61,440 loop turns in all (some 20,000 numbers); no optional feature.
//! use grid, constants, score

struct Params {
    batch: u32,
    heads: u32,
    groups: u32,
    rows: u32,
    row_size: u32,
    padded_size: u32,
    normalise: u32,          // 0 or 1
    queries: u32,            // candidates below this are queries
    keys: u32,
    q_offset: u32,           // offsets and strides are in elements
    q_batch_stride: u32,
    q_head_stride: u32,
    q_group_stride: u32,
    q_row_stride: u32,
    k_offset: u32,
    k_batch_stride: u32,
    k_head_stride: u32,
    k_group_stride: u32,
    k_row_stride: u32,
    index_offset: u32,
    index_group_stride: u32,
    out_offset: u32,
    out_group_stride: u32,
    out_row_stride: u32,
    out_block_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> queries: array<StoredQueries>;
@group(0) @binding(2) var<storage, read> keys: array<StoredKeys>;
@group(0) @binding(3) var<storage, read> indices: array<f32>;
@group(0) @binding(4) var<storage, read_write> rows: array<StoredRows>;

// Where a candidate starts, and in which buffer.
struct Source {
    start: u32,
    is_query: bool,
}

fn source_of(number: u32, index: u32) -> Source {
    let group = number % p.groups;
    let head = number / p.groups % p.heads;
    let batch = number / p.groups / p.heads;
    if (index < p.queries) {
        let outer = batch * p.q_batch_stride + head * p.q_head_stride + group * p.q_group_stride;
        return Source(p.q_offset + outer + index * p.q_row_stride, true);
    }
    let outer = batch * p.k_batch_stride + head * p.k_head_stride + group * p.k_group_stride;
    return Source(p.k_offset + outer + (index - p.queries) * p.k_row_stride, false);
}

fn number_at(source: Source, column: u32) -> f32 {
    if (source.is_query) {
        return f32(queries[source.start + column]);
    }
    return f32(keys[source.start + column]);
}

// Factors that bring a row to length one: a power of two first, so that squares neither overflow nor vanish.
fn factors_to_one(source: Source) -> vec2<f32> {
    var peak = 0.0;
    for (var column = 0u; column < p.row_size; column++) {
        peak = max(peak, abs(number_at(source, column)));
    }
    let unit = unit_of(peak);
    var squares = 0.0;
    for (var column = 0u; column < p.row_size; column++) {
        let number = number_at(source, column) * inverse_of(unit);
        squares += number * number;
    }
    let length = sqrt(squares);
    if (unit * length < 1e-12) {
        return vec2<f32>();
    }
    return vec2<f32>(inverse_of(unit), 1.0 / length);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let copy = workgroup_number(workgroup, grid) * 64u + lane;
    let number = copy / p.rows;
    let row = copy % p.rows;
    if (number >= p.batch * p.heads * p.groups) {
        return;
    }
    // An index is below the number of candidates wherever it comes from; whatever it is, nothing else is read.
    let index = min(u32(indices[p.index_offset + number * p.index_group_stride + row]), p.queries + p.keys - 1u);
    let source = source_of(number, index);
    var factors = vec2<f32>(1.0);
    if (p.normalise != 0u) {
        factors = factors_to_one(source);
    }
    let out = p.out_offset + number * p.out_group_stride + row * p.out_row_stride;
    for (var column = 0u; column < p.padded_size; column++) {
        var result = 0.0;
        if (column < p.row_size) {
            result = number_at(source, column) * factors.x * factors.y;
        }
        rows[out + column / 4u * p.out_block_stride + column % 4u] = StoredRows(result);
    }
}
