//! Products and what ends them.

use super::*;

#[test]
fn products_of_all_sizes_round_every_edge() {
    let mut panels = Panels::default();
    for arch in archs() {
        for rows in [0, 1, 2, 5, 6, 7, 12, 13, 193] {
            for inner in [0, 1, 3, 4, 5, 17, 384, 385, 800] {
                for columns in [0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 81, 130, 196] {
                    if rows * inner * columns > 193 * 400 * 64 {
                        continue;
                    }
                    // Columns first, columns last, and neither, in turn.
                    let (row_stride, column_stride) =
                        [(1, inner + 3), (columns + 5, 1), (2, 2 * inner + 1)][(rows + columns) % 3];
                    let (a, b) =
                        (values(rows * (inner + 2) + 1, 1), values(inner * row_stride.max(1) + columns * column_stride + 9, 2));
                    let matrix = Matrix { elements: &b, row_stride, column_stride };
                    pack(arch, &mut panels, matrix, inner, columns);
                    let stride = columns + 3;
                    let mut c = vec![f32::NAN; rows * stride + 64];
                    let product = Product::new(Rows { elements: &a, stride: inner + 2 }, rows, &panels);
                    multiply(arch, product, RowsMut { elements: &mut c, stride }, None);
                    let what = format!("{arch:?} {rows} x {inner} by {columns}");
                    for row in 0..rows {
                        let sum = |column| {
                            let term = |at| {
                                f64::from(a[row * (inner + 2) + at]) * f64::from(b[at * row_stride + column * column_stride])
                            };
                            (0..inner).map(term).sum()
                        };
                        let expected: Vec<f64> = (0..columns).map(sum).collect();
                        assert_close(&c[row * stride..][..columns], &expected, 2e-6 * (1.0 + inner as f64).sqrt(), &what);
                        assert!(
                            c[row * stride + columns..][..3].iter().all(|c| c.is_nan()),
                            "{what}: nothing behind a row is written"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_product_does_not_depend_on_how_it_is_split() {
    let (rows, inner, columns) = (50, 500, 200);
    let (a, b) = (values(rows * inner, 1), values(inner * columns, 2));
    let mut bits = Vec::new();
    for arch in archs() {
        let mut panels = Panels::default();
        pack(arch, &mut panels, Matrix { elements: &b, row_stride: columns, column_stride: 1 }, inner, columns);
        let whole =
            |first: usize, rows: usize| Product::new(Rows { elements: &a[first * inner..], stride: inner }, rows, &panels);
        let mut together = vec![f32::NAN; rows * columns];
        multiply(arch, whole(0, rows), RowsMut { elements: &mut together, stride: columns }, None);
        for cut in [1, 6, 11, 49] {
            let mut apart = vec![f32::NAN; rows * columns];
            let (above, below) = apart.split_at_mut(cut * columns);
            multiply(arch, whole(0, cut), RowsMut { elements: above, stride: columns }, None);
            let middle = panels.count() / 2;
            for part in [0..middle, middle..panels.count()] {
                let first = panels.columns_of(part.clone()).start;
                let product = Product { panels: part, ..whole(cut, rows - cut) };
                multiply(arch, product, RowsMut { elements: &mut below[first..], stride: columns }, None);
            }
            assert!(together.iter().zip(&apart).all(|(a, b)| a.to_bits() == b.to_bits()), "{arch:?} cut at {cut}");
        }
        bits.push(together);
    }
    // All instruction sets with fused multiply-add agree too.
    #[cfg(target_arch = "x86_64")]
    assert!(bits[1..].windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn sums_are_added_to_what_is_there() {
    let (rows, inner, columns) = (7, 30, 21);
    let (a, b) = (values(rows * inner, 1), values(inner * columns, 2));
    for arch in archs() {
        let mut panels = Panels::default();
        pack(arch, &mut panels, Matrix { elements: &b, row_stride: columns, column_stride: 1 }, inner, columns);
        let mut c = vec![f32::NAN; rows * columns];
        for part in [0..11, 11..30] {
            let left = Rows { elements: &a[part.start..], stride: inner };
            let product = Product { accumulate: part.start > 0, inner: part, ..Product::new(left, rows, &panels) };
            multiply(arch, product, RowsMut { elements: &mut c, stride: columns }, None);
        }
        let sum = |row: usize, column: usize| {
            (0..inner).map(|at| f64::from(a[row * inner + at]) * f64::from(b[at * columns + column])).sum()
        };
        let expected: Vec<f64> = (0..rows * columns).map(|at| sum(at / columns, at % columns)).collect();
        assert_close(&c, &expected, 1e-5, "accumulated");
    }
}

pub(super) fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu => x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        Activation::GeluFast => x / (1.0 + (-2.0 * ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x))).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
    }
}

pub(super) const ACTIVATIONS: [Activation; 4] = [Activation::Gelu, Activation::GeluFast, Activation::Tanh, Activation::Relu];

#[test]
fn epilogues_end_a_product() {
    let (rows, inner, columns) = (13, 20, 83);
    let (a, b) = (values(rows * inner, 1), values(inner * columns, 2));
    let (bias, residual) = (values(rows * columns, 3), values(rows * (columns + 1), 4));
    for arch in archs() {
        let mut panels = Panels::default();
        pack(arch, &mut panels, Matrix { elements: &b, row_stride: columns, column_stride: 1 }, inner, columns);
        for choice in 0..40 {
            let activation =
                [None, Some(ACTIVATIONS[0]), Some(ACTIVATIONS[1]), Some(ACTIVATIONS[2]), Some(ACTIVATIONS[3])][choice % 5];
            let bias_stride = if choice / 10 % 2 == 0 { 0 } else { columns };
            let epilogue = LinearEpilogue {
                product_scale: if choice / 5 % 2 == 0 { 1.0 } else { -0.7 },
                bias: (choice < 30).then_some(Rows { elements: &bias, stride: bias_stride }),
                bias_scale: 1.5,
                activation,
                residual: (choice >= 20).then_some(Rows { elements: &residual, stride: columns + 1 }),
            };
            let mut c = vec![f32::NAN; rows * columns];
            let product = Product::new(Rows { elements: &a, stride: inner }, rows, &panels);
            multiply(arch, product, RowsMut { elements: &mut c, stride: columns }, Some(epilogue));
            let element = |at: usize| {
                let (row, column) = (at / columns, at % columns);
                let product: f64 =
                    (0..inner).map(|at| f64::from(a[row * inner + at]) * f64::from(b[at * columns + column])).sum();
                let mut sum = f64::from(epilogue.product_scale) * product;
                sum += epilogue.bias.map_or(0.0, |_| 1.5 * f64::from(bias[row * bias_stride + column]));
                sum = activation.map_or(sum, |activation| activate(activation, sum));
                sum + epilogue.residual.map_or(0.0, |_| f64::from(residual[row * (columns + 1) + column]))
            };
            let expected: Vec<f64> = (0..rows * columns).map(element).collect();
            assert_close(&c, &expected, 4e-6, &format!("{arch:?} {epilogue:?}"));
        }
    }
}
