// Softmax of rows of scores, written out, and the log sum of each row.
//
//   weights[b,g,r,j] = exp(scores[b,g,r,j] - sums[b,g,r]),   sums[b,g,r] = log sum_j exp(scores[b,g,r,j])
//
// The log sums go to the same binding as the weights. They merge rows that were cut into chunks: the weights of the chunks are the softmax of
// their log sums.
//
// Grid: a workgroup a row. Needs no optional feature.
//! use grid, constants, workgroup_reduce, exponential

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row = number % p.rows;
    let group = number / p.rows % p.groups;
    let batch = number / p.rows / p.groups;
    if (batch >= p.batch) {
        return;
    }
    let start = scores_at(batch, group, row);
    var own = LOWEST;
    for (var j = lane; j < p.keys; j += WORKGROUP) {
        own = max(own, scores[start + j]);
    }
    let row_max = workgroup_max(lane, own);
    var part = 0.0;
    for (var j = lane; j < p.keys; j += WORKGROUP) {
        part += exponential(scores[start + j] - row_max);
    }
    let row_sum = workgroup_sum(lane, part);
    let to = weights_at(batch, group, row);
    for (var j = lane; j < p.keys; j += WORKGROUP) {
        weights[to + j] = exponential(scores[start + j] - row_max) / row_sum;
    }
    if (p.has_sums != 0u && lane == 0u) {
        weights[sums_at(batch, group, row)] = row_max + logarithm(row_sum);
    }
}
