//! Statistics of each row for positive random features: half its squared length, and the largest of its projections.

use super::arithmetic::dot;
use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Statistics of each row for positive random features (`feature_rows`): half its squared length after scaling, and the largest of its
    /// projections. `stats[b,h,r] = (square_scale * |x[b,h,r]|^2 / 2, max_m projections[b,h,r,m])`.
    FeatureRows, FeatureRowsParams, "feature_rows", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Rows.
        rows,
        /// Elements of a row of `x`.
        size "row size",
        /// Projections of a row.
        features,
    }
    values {
        /// Factor on the squared length.
        square_scale: f32,
    }
    read x {
        /// Rows.
        x: [batch, heads, rows; size],
    }
    read projections {
        /// Projections of the rows.
        projections: [batch, heads, rows; features],
    }
    write stats {
        /// A pair a row.
        stats: [batch, heads, rows; (2)],
    }
    workgroup: 64,
    workgroups: count(&[p.batch, p.heads, p.rows]).div_ceil(64),
    multiply_adds: count(&[p.batch, p.heads, p.rows, p.size]),
    iterations: looped(p.size.into(), 0) + looped(p.features.into(), 0),
    accesses_in_range: false,
    reference: reference,
}

/// Inputs: x, projections; output: stats.
fn reference(p: &FeatureRowsParams, inputs: &[&[f32]], stats: &mut [f32]) {
    let &[x, projections] = inputs else { return };
    for index in indices([p.batch, p.heads, p.rows]) {
        let row = p.x.row(x, &index, p.size);
        let projections = p.projections.row(projections, &index, p.features);
        let row_max = projections.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // A square beyond float32 counts as its maximum: the exponential of minus that is zero.
        let half_square = (0.5 * f64::from(p.square_scale) * dot(row, row)).min(f32::MAX.into());
        p.stats.row_mut(stats, &index, 2).copy_from_slice(&[half_square as f32, row_max]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn whole_buffers_are_seen_as_they_lie() {
        let [x, projections, stats] =
            [(0, 8), (1, 6), (2, 2)].map(|(buffer, width)| View::of(BufferId(buffer), &[2, 3, 5, width]));
        let (params, _) = FeatureRows { x, projections, stats, square_scale: 0.5 }.place().expect("they fit");
        let [x, projections, stats] = [8, 6, 2].map(|width| BoundView::new(0, &[15 * width, 5 * width, width]));
        let sizes = FeatureRowsParams { batch: 2, heads: 3, rows: 5, size: 8, features: 6, square_scale: 0.5, ..params };
        assert_eq!(params, FeatureRowsParams { x, projections, stats, ..sizes });
        assert_eq!(params.accesses(), [240, 180, 60].map(|elements| Extent::dense(0, elements)));
    }
}
