//! Attention.

use super::elements::softmax;
use super::*;
use crate::simd::attention::{Attention, AttentionScratch, Keys, NoBias};
use crate::simd::matrix::{Aligned, gather_rows};

/// An attention to compute: sizes, and elements of queries and keys up to `magnitude`.
#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    keys: usize,
    size: usize,
    value_size: usize,
    scale: f32,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Case {
    fn new(rows: usize, keys: usize, size: usize, value_size: usize, magnitude: f32) -> Self {
        let scaled = |count, seed| values(count, seed).iter().map(|x| x * magnitude).collect();
        let (q, k) = (scaled(rows * (size + 1), 1), scaled(keys * size, 2));
        Self {
            rows,
            keys,
            size,
            value_size,
            scale: 1.0 / (size as f32).sqrt(),
            q,
            k,
            v: values(keys * value_size, 3),
            bias: None,
        }
    }

    fn expected(&self) -> Vec<f64> {
        let mut tokens = Vec::new();
        for row in 0..self.rows {
            let logit = |key: usize| {
                let term = |at| f64::from(self.q[row * (self.size + 1) + at]) * f64::from(self.k[key * self.size + at]);
                let score: f64 = (0..self.size).map(term).sum();
                f64::from(self.scale) * score + self.bias.as_ref().map_or(0.0, |bias| f64::from(bias[row * self.keys + key]))
            };
            let mut weights: Vec<f64> = (0..self.keys).map(logit).collect();
            softmax(&mut weights);
            for at in 0..self.value_size {
                tokens.push((0..self.keys).map(|key| weights[key] * f64::from(self.v[key * self.value_size + at])).sum());
            }
        }
        tokens
    }

    /// The rows of a range, the known length of the longest query times the scale given.
    fn run(&self, arch: Arch, rows: std::ops::Range<usize>, length: f32) -> Vec<f32> {
        let (mut keys, mut values, mut scratch) = (Keys::default(), Panels::default(), AttentionScratch::default());
        let matrix = |elements, stride| Matrix { elements, row_stride: stride, column_stride: 1 };
        pack(arch, &mut values, matrix(&self.v, self.value_size), self.keys, self.value_size);
        let (k, count, size) = (matrix(&self.k, self.size), self.keys, self.size);
        with_simd!(arch, (keys: &'e mut Keys = &mut keys, k: Matrix<'e> = k, count: usize = count, size: usize = size, length: f32 = length),
            |simd| -> () { keys.pack(simd, k, count, size, length) });
        let stride = self.value_size + 2;
        let mut tokens = vec![f32::NAN; rows.len() * stride];
        let queries = Rows { elements: &self.q[rows.start * (self.size + 1)..], stride: self.size + 1 };
        let block =
            Attention { queries, rows: rows.len(), head_size: self.size, scale: self.scale, keys: &keys, values: &values };
        let bias = self.bias.as_ref().map(|bias| Rows { elements: &bias[rows.start * self.keys..], stride: self.keys });
        let out = RowsMut { elements: &mut tokens, stride };
        with_simd!(arch, (block: Attention<'e> = block, bias: Option<Rows<'e>> = bias, out: RowsMut<'e> = out, scratch: &'e mut AttentionScratch = &mut scratch),
        |simd| -> () {
            match bias {
                Some(bias) => block.run(simd, &bias, out, scratch),
                None => block.run(simd, &NoBias, out, scratch),
            }
        });
        assert!(
            tokens.chunks(stride).all(|row| row[self.value_size..].iter().all(|x| x.is_nan())),
            "nothing behind a row is written"
        );
        tokens.chunks(stride).flat_map(|row| &row[..self.value_size]).copied().collect()
    }

    fn check(&self, tolerance: f64) {
        for arch in archs() {
            let what = format!("{arch:?} {} rows {} keys {} / {}", self.rows, self.keys, self.size, self.value_size);
            assert_close(&self.run(arch, 0..self.rows, f32::INFINITY), &self.expected(), tolerance, &what);
        }
    }
}

#[test]
fn attention_of_all_sizes_round_every_edge() {
    for rows in [1, 5, 6, 7, 23, 24, 25, 49] {
        for keys in [1, 2, 15, 16, 17, 49, 64, 65, 196] {
            for (size, value_size) in [(1, 1), (3, 5), (16, 16), (32, 33), (64, 64), (65, 96), (256, 256)] {
                Case::new(rows, keys, size, value_size, 1.0).check(3e-6);
            }
        }
    }
}

#[test]
fn many_keys_go_by_chunks() {
    for keys in [1023, 1024, 1025, 1500, 3000, 18_432] {
        Case::new(7, keys, 16, 20, 1.0).check(3e-6);
        Case::new(7, keys, 16, 20, 30.0).check(1e-5);
    }
}

#[test]
fn logits_in_the_thousands_are_as_exact_as_small_ones() {
    for (rows, keys, size) in [(30, 196, 64), (7, 49, 32), (3, 1500, 64), (5, 64, 256)] {
        // Near a multiple of one query, so that many logits are near the largest.
        let mut case = Case::new(rows, keys, size, size, 40.0);
        let direction: Vec<f32> = case.q[..size].to_vec();
        for (key, noise) in case.k.chunks_mut(size).zip(values(keys * size, 9).chunks(size)) {
            for ((k, d), n) in key.iter_mut().zip(&direction).zip(noise) {
                *k = d + 0.02 * n;
            }
        }
        for row in case.q.chunks_mut(size + 1) {
            for (q, d) in row.iter_mut().zip(&direction) {
                *q = d + 0.05 * *q;
            }
        }
        case.check(1e-5);
    }
}

#[test]
fn rows_that_need_exact_scores_go_among_others() {
    let mut case = Case::new(31, 80, 32, 32, 1.0);
    for row in [0, 3, 4, 25, 30] {
        case.q[row * 33..][..32].iter_mut().for_each(|q| *q *= 4000.0);
    }
    case.check(1e-5);
    case.scale = -case.scale;
    case.check(1e-5);
}

#[test]
fn a_bias_and_a_mask_come_before_the_softmax() {
    for magnitude in [1.0, 40.0] {
        let mut case = Case::new(29, 49, 32, 32, magnitude);
        let mut bias = values(29 * 49, 8);
        for (at, bias) in bias.iter_mut().enumerate() {
            if (at / 49 + at % 49) % 3 == 0 {
                *bias = f32::NEG_INFINITY;
            }
        }
        bias[5 * 49..6 * 49].fill(f32::NEG_INFINITY);
        case.bias = Some(bias);
        case.check(1e-5);
    }
}

#[test]
fn nan_and_infinity_make_nan_of_their_rows_alone() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut case = Case::new(9, 40, 16, 16, 1.0);
        case.q[4 * 17 + 2] = bad;
        for arch in archs() {
            let tokens = case.run(arch, 0..9, f32::INFINITY);
            for (row, token) in tokens.chunks(16).enumerate() {
                assert!(token.iter().all(|x| x.is_nan() == (row == 4)), "{arch:?} {bad} row {row}");
            }
        }
        let mut case = Case::new(9, 1100, 16, 16, 1.0);
        case.k[700 * 16 + 3] = f32::NAN;
        for arch in archs() {
            assert!(case.run(arch, 0..9, f32::INFINITY).iter().all(|x| x.is_nan()));
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_block() {
    for (keys, magnitude) in [(196, 1.0), (60, 30.0), (1300, 8.0)] {
        let case = Case::new(61, keys, 32, 40, magnitude);
        for arch in archs() {
            let together = case.run(arch, 0..61, f32::INFINITY);
            for cut in [1, 13, 24, 47] {
                let mut apart = case.run(arch, 0..cut, f32::INFINITY);
                apart.extend(case.run(arch, cut..61, f32::INFINITY));
                assert!(together.iter().zip(&apart).all(|(a, b)| a.to_bits() == b.to_bits()), "{arch:?} {keys} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_buffer_is_used_again() {
    let mut buffer = Aligned::default();
    buffer.elements_mut(100).fill(f32::NAN);
    let start = buffer.elements().as_ptr();
    assert_eq!(start as usize % 64, 0);
    let elements = values(60, 1);
    gather_rows(Matrix { elements: &elements, row_stride: 1, column_stride: 7 }, 5, 8, &mut buffer);
    assert_eq!(buffer.elements().as_ptr(), start);
    assert!((0..40).all(|at| buffer.elements()[at] == elements[at / 8 + at % 8 * 7]));
}
