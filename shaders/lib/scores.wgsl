// Scores of four rows, and the bound of plain float32 scores. A softmax needs its scores to about 1e-5, and a plain float32 dot product is off
// by up to some 1e-7 |q| |k| times the root of its length. Needs PLAIN_SCORES, the largest |scale| |q| |k| that plain scores allow. Lengths
// must be zero or between 1e-15 and 1e18, so that float32 holds their squares.

// Whether the logits of any of four rows exceed the bound, by squared lengths of the rows and of the longest key. NaN exceeds it.
fn needs_precision(query_squares: vec4<f32>, key_square: f32) -> bool {
    // Longer sums are off by the root of their length more.
    let most = PLAIN_SCORES * min(1.0, sqrt(128.0 / f32(p.head_size))) / abs(p.scale);
    return !all(key_square * query_squares <= vec4<f32>(most * most));
}

// Four scores, in two parts.
struct Scores {
    coarse: vec4<f32>,
    fine: vec4<f32>,
}

// a - b. Exact in the coarse part if the two are close.
fn excess_of(a: Scores, b: Scores) -> vec4<f32> {
    return (a.coarse - b.coarse) + (a.fine - b.fine);
}

fn scaled_scores(scores: Scores, unit: f32) -> Scores {
    return Scores(scores.coarse * unit, scores.fine * unit);
}
