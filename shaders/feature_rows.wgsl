// What positive random features need to know of each row: half its squared length, and the largest of its projections.
//
//   stats[b,h,r,0] = square_scale * |x[b,h,r,:]|^2 / 2,   stats[b,h,r,1] = max_m projections[b,h,r,m]
//
// Numbers count as 1e16 at the most: the exponential of minus their square is zero either way, and no infinity meets another.
//
// Grid: one invocation a row, numbered (b * heads + h) * rows + r, 64 in a workgroup. Limits: all loop turns of an invocation at
// most 61,440; no optional feature.
//! use grid

struct Params {
    batch: u32,
    heads: u32,
    rows: u32,
    size: u32,
    features: u32,
    square_scale: f32,
    x_offset: u32,           // offsets and strides are in elements
    x_batch_stride: u32,
    x_head_stride: u32,
    x_row_stride: u32,
    d_offset: u32,
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> projections: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let head = number / p.rows;
    let batch = head / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let start = p.x_offset + batch * p.x_batch_stride + (head % p.heads) * p.x_head_stride + (number % p.rows) * p.x_row_stride;
    var square = 0.0;
    for (var column = 0u; column < p.size; column++) {
        // The square of 1e16 is far beyond what an exponential tells apart, and thousands of them stay within float32.
        let number = clamp(x[start + column], -1e16, 1e16);
        square += number * number;
    }
    let d_start = p.d_offset + number * p.features;
    var peak = projections[d_start];
    for (var feature = 1u; feature < p.features; feature++) {
        peak = max(peak, projections[d_start + feature]);
    }
    stats[p.out_offset + number * 2u] = 0.5 * p.square_scale * square;
    stats[p.out_offset + number * 2u + 1u] = peak;
}
