// Layer normalisation: rows brought to mean zero and variance one, then scaled and shifted.
//
//   y[b,r,c] = scales[c] (x[b,r,c] - mean[b,r]) / sqrt(variance[b,r] + epsilon) + shifts[c]
//
// with mean and variance over the numbers of a row; the variance is the mean of squared differences from the mean, taken in a second pass, so
// that nothing cancels.
//
// Grid: a workgroup of 64 invocations a row, numbered b * rows + r. Limits: all loop turns of an invocation at most 61,440 (about 1.3 million
// numbers in a row); no optional feature.
//! use grid, workgroup_reduce

struct Params {
    batch: u32,
    rows: u32,
    size: u32,
    epsilon: f32,
    x_offset: u32,           // offsets and strides are in elements
    x_batch_stride: u32,
    x_row_stride: u32,
    y_offset: u32,
    y_batch_stride: u32,
    y_row_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(2) var<storage, read> scales: array<StoredScales>;
@group(0) @binding(3) var<storage, read> shifts: array<StoredShifts>;
@group(0) @binding(4) var<storage, read_write> y: array<StoredY>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let batch = number / p.rows;
    // The same for the whole workgroup.
    if (batch >= p.batch) {
        return;
    }
    let row = number % p.rows;
    let x_start = p.x_offset + batch * p.x_batch_stride + row * p.x_row_stride;
    let y_start = p.y_offset + batch * p.y_batch_stride + row * p.y_row_stride;
    var sum = 0.0;
    for (var column = lane; column < p.size; column += 64u) {
        sum += f32(x[x_start + column]);
    }
    let mean = workgroup_sum(lane, sum) / f32(p.size);
    var squares = 0.0;
    for (var column = lane; column < p.size; column += 64u) {
        let difference = f32(x[x_start + column]) - mean;
        squares += difference * difference;
    }
    let factor = 1.0 / sqrt(workgroup_sum(lane, squares) / f32(p.size) + p.epsilon);
    for (var column = lane; column < p.size; column += 64u) {
        let normal = (f32(x[x_start + column]) - mean) * factor;
        y[y_start + column] = StoredY(f32(scales[column]) * normal + f32(shifts[column]));
    }
}
