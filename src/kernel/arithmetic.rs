//! Helpers of the references: float64, no tricks.

/// A sum of products in float64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Turns scores into softmax weights, in place. A NaN score makes all of them NaN.
pub(crate) fn softmax(scores: &mut [f64]) {
    let row_max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let row_sum: f64 = scores.iter().map(|score| (score - row_max).exp()).sum();
    for score in scores {
        *score = (*score - row_max).exp() / row_sum;
    }
}

/// The factor that brings a row of this squared length to length one; zero for rows shorter than 1e-12.
pub(crate) fn unit_factor(square: f64) -> f64 {
    let length = square.sqrt();
    if length < 1e-12 { 0.0 } else { 1.0 / length }
}
