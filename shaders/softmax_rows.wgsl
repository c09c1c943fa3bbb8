// Softmax of rows of scores, written out, and the logarithm of what each row sums up to.
//
//   weights[b,g,r,j] = exp(scores[b,g,r,j] - sums[b,g,r]),   sums[b,g,r] = log sum_j exp(scores[b,g,r,j])
//
// The sums go to the same binding as the weights. Rows that were cut into chunks are put together by them: the weights of the chunks are the
// softmax of their sums.
//
// Grid: a workgroup a row. Limits: about a million scores a row (all loop turns of an invocation at most 61,440); no optional feature.

struct Params {
    batch: u32,
    groups: u32,
    rows: u32,
    keys: u32,
    has_sums: u32,
    scores_offset: u32,      // offsets and strides are in elements
    scores_batch_stride: u32,
    scores_group_stride: u32,
    scores_row_stride: u32,
    weights_offset: u32,
    weights_batch_stride: u32,
    weights_group_stride: u32,
    weights_row_stride: u32,
    sums_offset: u32,
    sums_batch_stride: u32,
    sums_group_stride: u32,
    sums_row_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

var<workgroup> peaks: array<f32, 64>;

// The highest of the invocations' numbers. All of them must call, once.
fn workgroup_highest(lane: u32, number: f32) -> f32 {
    peaks[lane] = number;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            peaks[lane] = max(peaks[lane], peaks[lane + half]);
        }
    }
    workgroupBarrier();
    return peaks[0];
}

@compute @workgroup_size(64)
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
    let start = p.scores_offset + batch * p.scores_batch_stride + group * p.scores_group_stride + row * p.scores_row_stride;
    var own = LOWEST;
    for (var j = lane; j < p.keys; j += 64u) {
        own = max(own, scores[start + j]);
    }
    let peak = workgroup_highest(lane, own);
    var part = 0.0;
    for (var j = lane; j < p.keys; j += 64u) {
        part += exponential(scores[start + j] - peak);
    }
    let total = workgroup_sum(lane, part);
    let to = p.weights_offset + batch * p.weights_batch_stride + group * p.weights_group_stride + row * p.weights_row_stride;
    for (var j = lane; j < p.keys; j += 64u) {
        weights[to + j] = exponential(scores[start + j] - peak) / total;
    }
    if (p.has_sums != 0u && lane == 0u) {
        let at = p.sums_offset + batch * p.sums_batch_stride + group * p.sums_group_stride + row * p.sums_row_stride;
        weights[at] = peak + log(total);
    }
}
