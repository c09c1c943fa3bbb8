// The sum over the 64 invocations of a workgroup. All of them must call; all get the result.

var<workgroup> sum_partial: array<f32, 64>;

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    // Until here, somebody may read the sum before.
    workgroupBarrier();
    sum_partial[lane] = value;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            sum_partial[lane] = sum_partial[lane] + sum_partial[lane + half];
        }
    }
    workgroupBarrier();
    return sum_partial[0];
}
