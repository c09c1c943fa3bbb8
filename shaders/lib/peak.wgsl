// The highest score of the invocations of a workgroup. All of them must call, once in a kernel; all get the result.
//! use score

var<workgroup> reduce_peak: array<Score, WORKGROUP>;

fn workgroup_peak(lane: u32, value: Score) -> Score {
    reduce_peak[lane] = value;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_peak[lane] = higher(reduce_peak[lane], reduce_peak[lane + half]);
        }
    }
    workgroupBarrier();
    return reduce_peak[0];
}
