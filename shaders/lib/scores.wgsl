// Scores of four rows, and when plain float32 does for them: a dot product is off by about 1e-7 |q| |k|, and a softmax wants its scores
// to about 1e-5.

// Largest |scale| |q| |k| for which float32 scores do.
const PLAIN_SCORES: f32 = 128.0;

// Whether any of four rows needs this, by the squares of their lengths and of the longest key's. Not a number counts as too large.
fn needs_precision(query_squares: vec4<f32>, key_square: f32) -> bool {
    return !all(p.scale * p.scale * key_square * query_squares <= vec4<f32>(PLAIN_SCORES * PLAIN_SCORES));
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
