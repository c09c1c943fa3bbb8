// Scores of four rows, and when plain float32 does for them. A softmax wants its scores to about 1e-5, and a float32 dot product that is summed up
// in one number is off by up to some 1e-7 |q| |k| times the root of its length. Needs PLAIN_SCORES, the largest |scale| |q| |k| for
// which plain scores do. Lengths have to be zero or between 1e-15 and 1e18, so that float32 holds their squares.

// Whether any of four rows needs this, by the squares of their lengths and of the longest key's. Not a number counts as too large.
fn needs_precision(query_squares: vec4<f32>, key_square: f32) -> bool {
    let most = PLAIN_SCORES / abs(p.scale);
    return !all(key_square * query_squares <= vec4<f32>(most * most));
}

// Four scores, in two parts.
struct Scores {
    coarse: vec4<f32>,
    fine: vec4<f32>,
}

// How far a lies above b. Exact in the coarse part where the two are close.
fn excess_of(a: Scores, b: Scores) -> vec4<f32> {
    return (a.coarse - b.coarse) + (a.fine - b.fine);
}

fn scaled_scores(scores: Scores, unit: f32) -> Scores {
    return Scores(scores.coarse * unit, scores.fine * unit);
}
