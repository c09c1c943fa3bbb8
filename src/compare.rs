//! Comparison of values with a reference.
//!
//! A value is right if `|found - expected| <= absolute + relative * |expected|`. NaN is right only if NaN is expected.

use crate::ops::Operation;
use crate::tensor::Tensor;

/// How far a value may be from the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute error allowed.
    pub absolute: f64,
    /// Relative error allowed in addition.
    pub relative: f64,
}

/// The tolerances, in one table.
impl Tolerance {
    /// One operation in float32: sums and softmax in float32 or better.
    pub const OPERATION: Self = Self { absolute: 2e-5, relative: 2e-5 };
    /// A whole layer in float32: a few operations in a row.
    pub const LAYER: Self = Self { absolute: 1e-4, relative: 1e-4 };
    /// Logits of a whole network in float32: dozens of layers in a row.
    pub const NETWORK: Self = Self { absolute: 1e-3, relative: 1e-3 };

    /// Largest [`relative_norm`] of the outputs of a plan that is stored as float16, with sums in float32.
    pub const HALF_NORM: f64 = 5e-3;

    /// The tolerance for the outputs of an operation.
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Trajectories(..) | Operation::Attention(..) | Operation::Prototypes(_) | Operation::Deformable(_) => {
                Self::OPERATION
            }
            Operation::Layer(_) => Self::LAYER,
        }
    }
}

/// Outcome of a comparison. JSON has no infinity: infinite errors are `null` there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Largest `|found - expected|`; infinite if only one of them is NaN or they are different infinities.
    pub worst_error: f64,
    /// Largest error as a share of its tolerance; right is at most one.
    pub share_of_tolerance: f64,
    /// Index of the value with the largest share, row-major.
    pub worst_index: usize,
    /// Number of values outside of their tolerance.
    pub wrong: usize,
    /// Number of values compared.
    pub count: usize,
}

impl Comparison {
    /// Whether every value is right, and there is at least one.
    pub fn passed(&self) -> bool {
        self.wrong == 0 && self.count > 0
    }

    /// Describes the errors for people; `None` if there are none.
    pub fn complaint(&self) -> Option<String> {
        let said = || format!("{} of {} values are wrong, by up to {:.1e}", self.wrong, self.count, self.worst_error);
        (!self.passed()).then(said)
    }
}

/// Compares two tensors; if their shapes differ, every value is wrong.
pub fn compare(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Comparison {
    compare_slices(found.data(), expected.data(), tolerance, found.shape() == expected.shape())
}

/// Compares two slices; if their lengths differ, every value is wrong.
pub fn compare_values(found: &[f32], expected: &[f32], tolerance: Tolerance) -> Comparison {
    compare_slices(found, expected, tolerance, found.len() == expected.len())
}

/// `|found - expected| / |expected|` with norms over all elements of a tensor; infinite if shapes differ, if only one of two elements is NaN,
/// and if one is infinite.
pub fn relative_norm(found: &Tensor, expected: &Tensor) -> f64 {
    if found.shape() != expected.shape() {
        return f64::INFINITY;
    }
    let both = found.data().iter().zip(expected.data()).map(|(&found, &expected)| (f64::from(found), f64::from(expected)));
    let (mut error, mut size) = (0.0, 0.0);
    for (found, expected) in both.filter(|(found, expected)| !(found.is_nan() && expected.is_nan())) {
        error += (found - expected).powi(2);
        size += expected.powi(2);
    }
    match (error / size).sqrt() {
        _ if error == 0.0 => 0.0,
        norm if norm.is_nan() => f64::INFINITY,
        norm => norm,
    }
}

/// Describes why the outputs of a plan stored as float16 are wrong, or `None` if they are right. Wrong is a relative norm of the error beyond
/// `slack` times [`Tolerance::HALF_NORM`], or a single value far off in a tensor whose norm would hide it.
pub fn half_disagreement(found: &Tensor, expected: &Tensor, slack: f64) -> Option<String> {
    let (norm, single) = half_errors(found, expected, slack);
    if norm > slack * Tolerance::HALF_NORM {
        return Some(format!("off by {norm:.1e} of the norm"));
    }
    single.complaint()
}

/// The error of a tensor stored as float16 as a share of what [`half_disagreement`] lets pass; right is at most one.
pub fn half_share(found: &Tensor, expected: &Tensor, slack: f64) -> f64 {
    let (norm, single) = half_errors(found, expected, slack);
    (norm / (slack * Tolerance::HALF_NORM)).max(single.share_of_tolerance)
}

/// The relative norm of the error, and single values against four times as much of the values' root mean square.
fn half_errors(found: &Tensor, expected: &Tensor, slack: f64) -> (f64, Comparison) {
    let known: Vec<f64> = expected.data().iter().map(|&number| number.into()).filter(|number: &f64| !number.is_nan()).collect();
    let mean_square = known.iter().map(|number| number * number).sum::<f64>() / known.len().max(1) as f64;
    let single = 4.0 * slack * Tolerance::HALF_NORM;
    let tolerance = Tolerance { absolute: single * mean_square.sqrt(), relative: single };
    (relative_norm(found, expected), compare(found, expected, tolerance))
}

fn compare_slices(found: &[f32], expected: &[f32], tolerance: Tolerance, same_shape: bool) -> Comparison {
    let count = expected.len().max(found.len());
    let mut outcome = Comparison { worst_error: 0.0, share_of_tolerance: 0.0, worst_index: 0, wrong: 0, count };
    if !same_shape {
        return Comparison { worst_error: f64::INFINITY, share_of_tolerance: f64::INFINITY, wrong: count.max(1), ..outcome };
    }
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = error_of(found.into(), expected.into());
        let share = error / (tolerance.absolute + tolerance.relative * f64::from(expected).abs());
        // A NaN share counts as wrong.
        let share = if share.is_nan() && error != 0.0 { f64::INFINITY } else { share.max(0.0) };
        outcome.wrong += usize::from(share > 1.0);
        outcome.worst_error = outcome.worst_error.max(error);
        if share > outcome.share_of_tolerance {
            (outcome.share_of_tolerance, outcome.worst_index) = (share, index);
        }
    }
    outcome
}

fn error_of(found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    let error = (found - expected).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(found: &[f32], expected: &[f32]) -> Comparison {
        compare_values(found, expected, Tolerance::OPERATION)
    }

    #[test]
    fn right_numbers_pass() {
        assert!(outcome(&[1.0, -2.0, 0.0], &[1.000_01, -2.000_02, 1e-5]).passed());
        assert!(outcome(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY]).passed());
    }

    #[test]
    fn each_kind_of_wrong_number_fails() {
        for (found, expected) in [
            (1.0001, 1.0),
            (f32::NAN, 1.0),
            (1.0, f32::NAN),
            (f32::NAN, f32::INFINITY),
            (f32::INFINITY, f32::NEG_INFINITY),
            (1.0, f32::INFINITY),
            (f32::INFINITY, 1.0),
            (0.0, 3e-5),
        ] {
            let outcome = outcome(&[0.0, found], &[0.0, expected]);
            assert!(!outcome.passed(), "{found} passed for {expected}");
            assert_eq!((outcome.wrong, outcome.worst_index), (1, 1), "{found} for {expected}");
        }
    }

    #[test]
    fn norms_of_errors_are_relative_and_nan_is_far_off() {
        let tensor = |data: &[f32]| Tensor::new(vec![data.len()], data.to_vec()).expect("as many");
        let expected = tensor(&[3.0, 4.0]);
        let norm = |data: &[f32]| relative_norm(&tensor(data), &expected);
        assert_eq!((norm(&[3.0, 4.0]), norm(&[3.0, 4.5]), norm(&[0.0, 0.0])), (0.0, 0.1, 1.0));
        assert_eq!([norm(&[f32::NAN, 4.0]), norm(&[f32::INFINITY, 4.0]), norm(&[3.0])], [f64::INFINITY; 3]);
        assert_eq!(relative_norm(&expected, &tensor(&[0.0, 0.0])), f64::INFINITY);
        assert_eq!(relative_norm(&tensor(&[f32::NAN, 2.0]), &tensor(&[f32::NAN, 2.0])), 0.0);
        assert_eq!(relative_norm(&tensor(&[1.0, 2.0]), &tensor(&[f32::NAN, 2.0])), f64::INFINITY);
    }

    #[test]
    fn a_wrong_tile_does_not_hide_in_a_large_tensor() {
        let expected = Tensor::new(vec![100, 100], (0..10_000).map(|i| (i % 7) as f32 - 3.0).collect()).expect("as many");
        let mut found = expected.data().to_vec();
        assert_eq!((half_disagreement(&expected, &expected, 1.0), half_share(&expected, &expected, 1.0)), (None, 0.0));
        found[1234] += 0.2;
        let found = Tensor::new(vec![100, 100], found).expect("as many");
        assert!(relative_norm(&found, &expected) < Tolerance::HALF_NORM);
        assert!(half_disagreement(&found, &expected, 1.0).is_some_and(|said| said.contains("1 of 10000")));
        assert!((3.3..3.4).contains(&half_share(&found, &expected, 1.0)), "0.2 of 0.06");
        let far = Tensor::new(vec![100, 100], vec![1.0; 10_000]).expect("as many");
        assert!(half_disagreement(&far, &expected, 1.0).is_some_and(|said| said.contains("norm")));
        assert!(half_share(&far, &expected, 1.0) > 100.0);
    }

    #[test]
    fn nothing_and_other_shapes_fail() {
        assert!(!outcome(&[], &[]).passed());
        assert!(!outcome(&[1.0], &[1.0, 1.0]).passed());
        let flat = Tensor::new(vec![4], vec![0.0; 4]).expect("four");
        let square = Tensor::new(vec![2, 2], vec![0.0; 4]).expect("four");
        assert!(!compare(&flat, &square, Tolerance::OPERATION).passed());
        assert!(compare(&flat, &flat, Tolerance::OPERATION).passed());
    }
}
