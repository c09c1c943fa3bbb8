// Copies of chosen rows, as they are or scaled to length one.
//
//   copies[g,i,:] = candidates[g, indices[g,i], :], or that / |that|, and zero where the length is below 1e-12
//
// Candidates of a group are its queries, then its keys. Copies are written as rows, or in blocks of four columns with zeros behind the row's own.
//
// Grid: one invocation a copy, numbered g * rows + i with g = (b * heads + h) * groups + group, WORKGROUP in a workgroup. Needs no optional
// feature.
//! use grid, constants, score

// Where a candidate starts, and in which buffer.
struct Source {
    start: u32,
    is_query: bool,
}

// Indices are clamped to the candidates, so that no index reads out of bounds.
fn source_of(batch: u32, head: u32, group: u32, index: u32) -> Source {
    if (p.has_keys == 0u || index < p.query_count) {
        return Source(queries_at(batch, head, group, min(index, p.query_count - 1u)), true);
    }
    return Source(keys_at(batch, head, group, min(index - p.query_count, p.key_count - 1u)), false);
}

// Offset of a copy's first four columns, distance to the next four, and number of columns written.
struct Copy {
    start: u32,
    across: u32,
    columns: u32,
}

fn copy_of(batch: u32, head: u32, group: u32, row: u32) -> Copy {
    if (p.has_rows != 0u) {
        return Copy(copies_at(batch, head, group, row), 4u, p.row_size);
    }
    return Copy(copy_blocks_at(batch, head, group, 0u, row), p.copy_blocks.stride.w, p.blocks * 4u);
}

fn element_at(source: Source, column: u32) -> f32 {
    if (source.is_query) {
        return f32(queries[source.start + column]);
    }
    return f32(keys[source.start + column]);
}

// Factors that bring a row to length one: a power of two first, so that squares neither overflow nor vanish.
fn factors_to_one(source: Source) -> vec2<f32> {
    var magnitude = 0.0;
    for (var column = 0u; column < p.row_size; column++) {
        magnitude = max(magnitude, abs(element_at(source, column)));
    }
    let unit = unit_of(magnitude);
    var squares = 0.0;
    for (var column = 0u; column < p.row_size; column++) {
        let element = element_at(source, column) * inverse_of(unit);
        squares += element * element;
    }
    let length = sqrt(squares);
    if (unit * length < 1e-12) {
        return vec2<f32>();
    }
    return vec2<f32>(inverse_of(unit), 1.0 / length);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocation = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let number = invocation / p.rows;
    let row = invocation % p.rows;
    if (number >= p.batch * p.heads * p.groups) {
        return;
    }
    let group = number % p.groups;
    let head = number / p.groups % p.heads;
    let batch = number / p.groups / p.heads;
    let source = source_of(batch, head, group, u32(indices[indices_at(batch, head, group) + row]));
    var factors = vec2<f32>(1.0);
    if (p.normalise != 0u) {
        factors = factors_to_one(source);
    }
    let copy = copy_of(batch, head, group, row);
    for (var column = 0u; column < copy.columns; column++) {
        var result = 0.0;
        if (column < p.row_size) {
            result = element_at(source, column) * factors.x * factors.y;
        }
        copies[copy.start + column / 4u * copy.across + column % 4u] = StoredCopies(result);
    }
}
