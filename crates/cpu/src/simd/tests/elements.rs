//! Functions of elements and of rows.

use super::products::{ACTIVATIONS, activate};
use super::*;
use crate::simd::exp::exp;
use crate::simd::norm::layer_norm_row;
use crate::simd::softmax::softmax_row;

fn apply(arch: Arch, activation: Activation, x: &mut [f32]) {
    with_simd!(arch, (x: &'e mut [f32] = x, activation: Activation = activation), |simd| -> () { activation.apply(simd, x) });
}

#[test]
fn activations_are_right_for_all_sizes_of_x() {
    let mut inputs: Vec<f32> = (0..400_000).map(|at| (at as f32 - 200_000.0) * 1e-4).collect();
    inputs.extend((0..2000).map(|at| (at as f32 - 1000.0) * 1e-9));
    inputs.extend([
        0.0,
        -0.0,
        1e30,
        -1e30,
        3e38,
        -3e38,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        88.7,
        -88.7,
        -14.999,
        -15.0,
        -15.001,
    ]);
    for arch in archs() {
        for activation in ACTIVATIONS {
            let mut outputs = inputs.clone();
            apply(arch, activation, &mut outputs);
            for (&x, &y) in inputs.iter().zip(&outputs) {
                // The tail of an infinite x: its limit.
                let expected = match activation {
                    Activation::Gelu | Activation::GeluFast if x < -40.0 => 0.0,
                    Activation::Gelu | Activation::GeluFast if x > 40.0 => f64::from(x),
                    _ => activate(activation, x.into()),
                };
                let tolerance = match activation {
                    Activation::Gelu | Activation::GeluFast => 2e-7 * f64::from(x.abs()),
                    _ => 3e-7 * expected.abs(),
                };
                let right = if x.is_nan() {
                    y.is_nan()
                } else {
                    f64::from(y) == expected || (f64::from(y) - expected).abs() <= tolerance
                };
                assert!(right, "{arch:?} {activation:?} of {x} is {y}, not {expected}");
            }
        }
    }
}

#[test]
fn the_exponential_is_within_two_units_in_the_last_place() {
    let mut inputs: Vec<f32> = (0..2_080_001).map(|at| at as f32 * -5e-5).collect();
    inputs.extend((0..1000).map(|at| at as f32 * 0.04));
    for arch in archs() {
        let mut results = inputs.clone();
        with_simd!(arch, (results: &'e mut Vec<f32> = &mut results), |simd| -> () {
            for chunk in results.chunks_exact_mut(S::F32_LANES) {
                let vector = &mut S::as_mut_simd_f32s(chunk).0[0];
                *vector = exp(simd, *vector);
            }
        });
        let whole = inputs.len() / 16 * 16;
        let mut worst = 0.0f64;
        for (&x, &y) in inputs[..whole].iter().zip(&results) {
            let expected = f64::from(x).exp();
            let unit = f64::from((expected as f32).max(f32::MIN_POSITIVE)).log2().floor() - 23.0;
            worst = worst.max((f64::from(y) - expected).abs() / unit.exp2());
        }
        assert!(worst < 1.5, "{arch:?}: {worst} units");
        let mut special =
            vec![f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, -104.0, -105.0, -1e30, f32::MIN, -103.97, -103.0, 1e-30, -1e-30];
        special.resize(16, 0.0);
        with_simd!(arch, (special: &'e mut Vec<f32> = &mut special), |simd| -> () {
            for vector in S::as_mut_simd_f32s(special).0 {
                *vector = exp(simd, *vector);
            }
        });
        assert_eq!(special[0].to_bits(), 0);
        assert!(special[1].is_nan());
        assert_eq!(special[2..4], [1.0, 1.0]);
        assert_eq!(special[4..8], [0.0; 4]);
        assert_eq!(special[9], f64::exp(-103.0) as f32);
        assert_eq!(special[10..12], [1.0, 1.0]);
    }
}

pub(super) fn softmax(logits: &mut [f64]) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
    logits.iter_mut().for_each(|logit| *logit = (*logit - max).exp() / sum);
    max + sum.ln()
}

#[test]
fn softmax_and_layer_norm_of_rows_of_all_sizes() {
    for arch in archs() {
        for size in [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 79, 768, 1000] {
            for (kind, scale, offset) in [("small", 1.0, 0.0), ("large", 900.0, 300.0), ("far", 1.0, 5000.0)] {
                let row: Vec<f32> = values(size, 5).iter().map(|x| x * scale + offset).collect();
                let mut weights = row.clone();
                let sum =
                    with_simd!(arch, (weights: &'e mut Vec<f32> = &mut weights), |simd| -> f32 { softmax_row(simd, weights) });
                let mut expected: Vec<f64> = row.iter().map(|&x| x.into()).collect();
                let log_sum = softmax(&mut expected);
                assert_close(&weights, &expected, 1e-6, &format!("{arch:?} softmax of {size}, {kind}"));
                assert!((f64::from(sum) - log_sum).abs() <= 1e-6 * (1.0 + log_sum.abs()));
                let (scales, shifts) = (values(size, 6), values(size, 7));
                let mut y = vec![f32::NAN; size];
                with_simd!(arch, (row: &'e [f32] = &row, scales: &'e [f32] = &scales, shifts: &'e [f32] = &shifts, y: &'e mut [f32] = &mut y),
                    |simd| -> () { layer_norm_row(simd, row, scales, shifts, 1e-5, y) });
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / size as f64;
                let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / size as f64;
                let expected: Vec<f64> = (0..size)
                    .map(|at| {
                        f64::from(scales[at]) * (f64::from(row[at]) - mean) / (variance + 1e-5).sqrt() + f64::from(shifts[at])
                    })
                    .collect();
                assert_close(&y, &expected, 4e-6, &format!("{arch:?} layer norm of {size}, {kind}"));
            }
        }
        for bad in [f32::NAN, f32::INFINITY] {
            let mut row = values(40, 1);
            row[21] = bad;
            with_simd!(arch, (row: &'e mut [f32] = &mut row), |simd| -> f32 { softmax_row(simd, row) });
            assert!(row.iter().all(|weight| weight.is_nan()), "{arch:?} {bad}");
        }
        let mut row = vec![f32::NEG_INFINITY; 40];
        row[3] = -2.0;
        with_simd!(arch, (row: &'e mut [f32] = &mut row), |simd| -> f32 { softmax_row(simd, row) });
        assert!(row.iter().enumerate().all(|(at, &weight)| weight == if at == 3 { 1.0 } else { 0.0 }));
        let mut row = vec![f32::NEG_INFINITY; 40];
        with_simd!(arch, (row: &'e mut [f32] = &mut row), |simd| -> f32 { softmax_row(simd, row) });
        assert!(row.iter().all(|weight| weight.is_nan()));
    }
}
