// Where the iteration for the pseudo-inverse of a matrix begins.
//
//   starts[g] = matrices[g]' / (largest column sum of |matrices[g]| * largest row sum of |matrices[g]|)
//
// From there, V <- V (13 I - A V (15 I - A V (7 I - A V))) / 4 converges (Xiong et al., Nystromformer, AAAI 2021).
//
// Grid: one workgroup a matrix. Needs no optional feature.
//! use grid, workgroup_reduce

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup_number(workgroup, grid);
    if (group >= p.groups) {
        return;
    }
    let start = matrices_at(group, 0u);
    let row_stride = p.matrices.stride.y;
    // Of a column, of a row.
    var largest = vec2<f32>();
    for (var line = lane; line < p.size; line += WORKGROUP) {
        var sum = vec2<f32>();
        for (var i = 0u; i < p.size; i++) {
            sum += abs(vec2<f32>(matrices[start + i * row_stride + line], matrices[start + line * row_stride + i]));
        }
        largest = max(largest, sum);
    }
    let column_max = workgroup_max(lane, largest.x);
    let row_max = workgroup_max(lane, largest.y);
    let scale = 1.0 / (column_max * row_max);
    let to = starts_at(group, 0u);
    for (var column = lane; column < p.size; column += WORKGROUP) {
        for (var i = 0u; i < p.size; i++) {
            starts[to + i * p.starts.stride.y + column] = matrices[start + column * row_stride + i] * scale;
        }
    }
}
