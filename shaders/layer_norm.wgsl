// Layer normalisation: rows brought to mean zero and variance one, then scaled and shifted.
//
//   y[b,r,c] = scales[c] (x[b,r,c] - mean[b,r]) / sqrt(variance[b,r] + epsilon) + shifts[c]
//
// with mean and variance over the elements of a row; the variance is the mean of squared differences from the mean, taken in a second pass,
// so that nothing cancels.
//
// Grid: a workgroup of 64 invocations a row, numbered b * rows + r. Needs no optional feature.
//! use grid, workgroup_reduce

@compute @workgroup_size(WORKGROUP)
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
    let x_base = x_at(batch, row);
    let y_base = y_at(batch, row);
    let scales_base = scales_at(batch, row);
    let shifts_base = shifts_at(batch, row);
    var sum = 0.0;
    for (var column = lane; column < p.size; column += WORKGROUP) {
        sum += f32(x[x_base + column]);
    }
    let mean = workgroup_sum(lane, sum) / f32(p.size);
    var squares = 0.0;
    for (var column = lane; column < p.size; column += WORKGROUP) {
        let difference = f32(x[x_base + column]) - mean;
        squares += difference * difference;
    }
    let factor = 1.0 / sqrt(workgroup_sum(lane, squares) / f32(p.size) + p.epsilon);
    for (var column = lane; column < p.size; column += WORKGROUP) {
        let normal = (f32(x[x_base + column]) - mean) * factor;
        y[y_base + column] = StoredY(f32(scales[scales_base + column]) * normal + f32(shifts[shifts_base + column]));
    }
}
