// Deformable space-time attention: each query attends to points of its own sub-clip, a few in each frame, wherever they are.
//
//   tokens[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) values[b,h] at (x + dx, y + dy) of frame g of the query's sub-clip
//
// with n = (f, y, x) and (dx, dy) = displacements[b,h,n,g,p], in patches. Between patches values are bilinear, outside of the grid zero.
//
// Grid: a workgroup takes four queries of a head and up to 64 numbers of each, 16 invocations a query; numbered ((b * heads + h) *
// query_tiles + tile) * blocks + block. Sixteen samples at a time are looked up, one an invocation, and then summed up, four numbers an
// invocation. Limits: all loop turns of an invocation at most 61,440 (about 29,000 samples a query); no optional feature.
//! use grid, constants, exponential, samples

struct Params {
    batch: u32,
    heads: u32,
    frames: u32,
    grid_rows: u32,
    grid_columns: u32,
    sub_clip: u32,           // frames of a sub-clip
    samples: u32,            // in each of them
    head_size: u32,
    v_offset: u32,           // offsets and strides are in elements
    v_batch_stride: u32,
    v_head_stride: u32,
    v_token_stride: u32,
    displacement_offset: u32,
    displacement_batch_stride: u32,
    displacement_head_stride: u32,
    displacement_token_stride: u32,
    logit_offset: u32,
    logit_batch_stride: u32,
    logit_head_stride: u32,
    logit_token_stride: u32,
    out_offset: u32,
    out_batch_stride: u32,
    out_head_stride: u32,
    out_token_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> values: array<StoredValues>;
@group(0) @binding(2) var<storage, read> displacements: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read_write> tokens: array<StoredTokens>;

const QUERIES: u32 = 4u;
const LANES: u32 = 16u;

// Of the samples at hand: where their corners' values begin (NOWHERE outside of the grid), their shares times the sample's weight, and that weight.
var<workgroup> corner_starts: array<vec4<u32>, 64>;
var<workgroup> corner_weights: array<vec4<f32>, 64>;
var<workgroup> sample_weights: array<f32, 64>;

fn value_start(outer: u32, token: u32) -> u32 {
    return select(outer + token * p.v_token_stride, NOWHERE, token == NOWHERE);
}

// Four numbers of a value. Beyond its end they are its last, and not stored.
fn value_numbers(start: u32, columns: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(
        f32(values[start + columns.x]),
        f32(values[start + columns.y]),
        f32(values[start + columns.z]),
        f32(values[start + columns.w]),
    );
}

// What one corner of a sample adds.
fn corner_part(start: u32, weight: f32, columns: vec4<u32>) -> vec4<f32> {
    if (start == NOWHERE) {
        return vec4<f32>();
    }
    return weight * value_numbers(start, columns);
}

fn store_number(start: u32, column: u32, number: f32) {
    if (column < p.head_size) {
        tokens[start + column] = StoredTokens(number);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let blocks = (p.head_size + 63u) / 64u;
    let all_tokens = p.frames * p.grid_rows * p.grid_columns;
    let query_tiles = (all_tokens + QUERIES - 1u) / QUERIES;
    let head = number / blocks / query_tiles % p.heads;
    let batch = number / blocks / query_tiles / p.heads;
    // The same for the whole workgroup.
    if (batch >= p.batch) {
        return;
    }
    let token = number / blocks % query_tiles * QUERIES + lane / LANES;
    let exists = token < all_tokens;
    let column = number % blocks * 64u + lane % LANES;
    let columns = min(column + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.head_size - 1u));
    let value_outer = p.v_offset + batch * p.v_batch_stride + head * p.v_head_stride;
    let displacement_start = p.displacement_offset + batch * p.displacement_batch_stride + head * p.displacement_head_stride
        + token * p.displacement_token_stride;
    let logit_start = p.logit_offset + batch * p.logit_batch_stride + head * p.logit_head_stride + token * p.logit_token_stride;
    let all_samples = p.sub_clip * p.samples;
    var peak = LOWEST;
    for (var sample = 0u; exists && sample < all_samples; sample++) {
        peak = max(peak, logits[logit_start + sample]);
    }
    var total = 0.0;
    var sum = vec4<f32>();
    for (var first = 0u; first < all_samples; first += LANES) {
        let sample = first + lane % LANES;
        workgroupBarrier();
        sample_weights[lane] = 0.0;
        if (exists && sample < all_samples) {
            let weight = exponential(logits[logit_start + sample] - peak);
            let at = displacement_start + sample * 2u;
            let corners = corners_of(token, sample, displacements[at], displacements[at + 1u]);
            sample_weights[lane] = weight;
            corner_weights[lane] = weight * corners.shares;
            corner_starts[lane] = vec4<u32>(
                value_start(value_outer, corners.tokens.x),
                value_start(value_outer, corners.tokens.y),
                value_start(value_outer, corners.tokens.z),
                value_start(value_outer, corners.tokens.w),
            );
        }
        workgroupBarrier();
        for (var i = 0u; exists && i < min(LANES, all_samples - first); i++) {
            let slot = lane / LANES * LANES + i;
            let weights = corner_weights[slot];
            let starts = corner_starts[slot];
            total += sample_weights[slot];
            sum += (corner_part(starts.x, weights.x, columns) + corner_part(starts.y, weights.y, columns))
                + (corner_part(starts.z, weights.z, columns) + corner_part(starts.w, weights.w, columns));
        }
    }
    if (exists) {
        let start = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + token * p.out_token_stride;
        store_number(start, column, sum.x / total);
        store_number(start, column + LANES, sum.y / total);
        store_number(start, column + 2u * LANES, sum.z / total);
        store_number(start, column + 3u * LANES, sum.w / total);
    }
}
