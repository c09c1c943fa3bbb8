//! Layer normalisation.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Layer normalisation (`layer_norm`): `y[b,r,c] = scales[c] (x[b,r,c] - mean) / sqrt(variance + epsilon) + shifts[c]` with mean and
    /// (biased) variance over the `size` elements of a row.
    LayerNorm, LayerNormParams, "layer_norm", |p|
    sizes {
        /// Batch items.
        batch,
        /// Rows of a batch item.
        rows,
        /// Elements of a row.
        size "row size",
    }
    values {
        /// Added to the variance.
        epsilon: f32,
    }
    read x as any {
        /// Elements of a row follow each other.
        x: [batch, rows; size],
    }
    read scales as any {
        /// Learned factors: a row that all share, or one for each.
        scales: [batch, rows; size],
    }
    read shifts as any {
        /// Learned summands, likewise.
        shifts: [batch, rows; size],
    }
    write y as any {
        /// Elements of a row follow each other.
        y: [batch, rows; size],
    }
    workgroup: 64,
    workgroups: count(&[p.batch, p.rows]),
    multiply_adds: count(&[p.batch, p.rows, p.size, 3]),
    iterations: 3 * looped(p.size.div_ceil(64).into(), 0) + 2 * looped(6, 0),
    accesses_in_range: true,
    reference: reference,
}

/// Inputs: x, scales, shifts; output: y.
fn reference(p: &LayerNormParams, inputs: &[&[f32]], y: &mut [f32]) {
    let &[x, scales, shifts] = inputs else { return };
    let size = f64::from(p.size);
    for index in indices([p.batch, p.rows]) {
        let elements: Vec<f64> = p.x.row(x, &index, p.size).iter().map(|&element| element.into()).collect();
        let mean = elements.iter().sum::<f64>() / size;
        let variance = elements.iter().map(|element| (element - mean).powi(2)).sum::<f64>() / size;
        let deviation = (variance + f64::from(p.epsilon)).sqrt();
        let learned = p.scales.row(scales, &index, p.size).iter().zip(p.shifts.row(shifts, &index, p.size));
        let results = p.y.row_mut(y, &index, p.size);
        for ((result, element), (&scale, &shift)) in results.iter_mut().zip(elements).zip(learned) {
            *result = (f64::from(scale) * ((element - mean) / deviation) + f64::from(shift)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn a_request_is_what_strides_say() {
        let view = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // All but the first row of each batch item.
        let x = view(0, &[2, 4, 6]).from(1, 1);
        let request =
            LayerNorm { x, scales: view(1, &[6]), shifts: view(1, &[2, 6]).index(0, 1), y: view(2, &[2, 3, 6]), epsilon: 1e-6 };
        let (params, _) = request.place().expect("they fit");
        let expected = LayerNormParams {
            x: BoundView::new(6, &[24, 6]),
            scales: BoundView::default(),
            shifts: BoundView::new(6, &[]),
            y: BoundView::new(0, &[18, 6]),
            batch: 2,
            rows: 3,
            size: 6,
            epsilon: 1e-6,
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&expected));
        let accesses = [Extent { end: 48, elements: 36 }, Extent::dense(0, 6), Extent::dense(6, 6), Extent::dense(0, 36)];
        assert_eq!(params.accesses(), accesses);
    }
}
