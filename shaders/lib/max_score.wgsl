// The highest score of the invocations of a workgroup. All of them must call, once in a kernel; all get the result.
//! use score

var<workgroup> reduce_scores: array<Score, WORKGROUP>;

fn workgroup_max_score(lane: u32, value: Score) -> Score {
    reduce_scores[lane] = value;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            reduce_scores[lane] = higher(reduce_scores[lane], reduce_scores[lane + half]);
        }
    }
    workgroupBarrier();
    return reduce_scores[0];
}
