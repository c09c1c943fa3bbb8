//! Performer attention (Choromanski et al., ICLR 2021), with positive random features from a projection of rows `w_m
//! [M,D]`.
//!
//! ```text
//! phi_m(x) = exp(w_m . x' - |x'|^2 / 2 - peak) + 1e-6,    x' = x / D^(1/4)
//! t[n,f]   = sum_m phi_m(q_n) sum_s phi_m(k_{f,s}) v_{f,s} / sum_m phi_m(q_n) sum_s phi_m(k_{f,s})
//! ```
//!
//! The peak is the largest `w_m . x'` of the row for queries, and of all tokens of the head for keys.

use super::attention::Head;
use super::matrix::{Matrix, dot};

/// What is added to each feature.
const OFFSET: f64 = 1e-6;

/// Trajectory tokens by features of this projection.
pub fn trajectories(head: &Head, projection: &Matrix) -> Vec<Matrix> {
    let peaks_of_rows = |products: &Matrix| (0..products.rows()).map(|row| largest(products.row(row))).collect();
    let queries = features(&head.q, projection, peaks_of_rows);
    let keys = features(&head.k, projection, |products| vec![largest(products.values()); products.rows()]);
    let patches = head.patches();
    let of_frame = |frame: usize| {
        let (_, v) = head.frame(frame);
        let keys = keys.row_range(frame * patches..(frame + 1) * patches);
        let weights = queries.times_transposed(&keys);
        let sums: Vec<f64> = (0..weights.rows()).map(|row| weights.row(row).iter().sum()).collect();
        let weighted = weights.times(&v);
        Matrix::from_fn(weighted.rows(), weighted.columns(), |row, column| weighted.at(row, column) / sums[row])
    };
    (0..head.frames).map(of_frame).collect()
}

/// `phi` of each row, with the peaks of the rows from their products with the projection.
fn features(rows: &Matrix, projection: &Matrix, peaks: impl Fn(&Matrix) -> Vec<f64>) -> Matrix {
    let scaled = rows.scaled((rows.columns() as f64).powf(-0.25));
    let products = scaled.times_transposed(projection);
    let peaks = peaks(&products);
    let half_squares: Vec<f64> = (0..scaled.rows()).map(|row| dot(scaled.row(row), scaled.row(row)) / 2.0).collect();
    Matrix::from_fn(products.rows(), products.columns(), |row, column| {
        (products.at(row, column) - half_squares[row] - peaks[row]).exp() + OFFSET
    })
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
