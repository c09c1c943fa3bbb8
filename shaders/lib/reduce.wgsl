// Reductions over the 64 invocations of a workgroup. All of them must call; all get the result. Each may be
// called once in a kernel. Needs lib/score.wgsl.

var<workgroup> reduce_peak: array<Score, 64>;
var<workgroup> reduce_partial: array<f32, 64>;

fn workgroup_peak(lane: u32, value: Score) -> Score {
    reduce_peak[lane] = value;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_peak[lane] = higher(reduce_peak[lane], reduce_peak[lane + half]);
        }
    }
    workgroupBarrier();
    return reduce_peak[0];
}

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    reduce_partial[lane] = value;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_partial[lane] = reduce_partial[lane] + reduce_partial[lane + half];
        }
    }
    workgroupBarrier();
    return reduce_partial[0];
}
