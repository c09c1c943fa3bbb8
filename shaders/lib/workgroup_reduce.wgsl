// The largest value and the sum over the invocations of a workgroup, by a tree. All of them must call; all get the result.

var<workgroup> reduce_partial: array<f32, WORKGROUP>;

fn workgroup_max(lane: u32, value: f32) -> f32 {
    // The last call's result may still be read.
    workgroupBarrier();
    reduce_partial[lane] = value;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_partial[lane] = max(reduce_partial[lane], reduce_partial[lane + half]);
        }
    }
    workgroupBarrier();
    return reduce_partial[0];
}

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    // The last call's result may still be read.
    workgroupBarrier();
    reduce_partial[lane] = value;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_partial[lane] = reduce_partial[lane] + reduce_partial[lane + half];
        }
    }
    workgroupBarrier();
    return reduce_partial[0];
}
