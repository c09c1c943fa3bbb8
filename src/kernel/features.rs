//! Positive random features of the softmax kernel.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Positive random features (`features`), which overwrite their projections:
    /// `projections[b,h,r,m] = exp(projections[b,h,r,m] - stats[b,h,r,0] - max) + 1e-6`, where `max` is the largest projection of the row, or of
    /// all rows of the head.
    Features, FeaturesParams, "features", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Rows.
        rows,
        /// Features of a row.
        features,
    }
    values {
        /// 0: each row has its own largest projection (queries); 1: the rows of a head share theirs (keys).
        shared_max: u32,
    }
    read stats {
        /// Statistics from `feature_rows`, a pair a row.
        stats: [batch, heads, rows; (2)],
    }
    write projections {
        /// Projections that become features.
        projections: [batch, heads, rows; features],
    }
    workgroup: 64,
    workgroups: count(&[p.rows.div_ceil(64), p.heads, p.batch]),
    multiply_adds: 0,
    iterations: looped(p.rows.div_ceil(64).into(), 0) + looped(6, 0) + looped(p.features.into(), 0),
    accesses_in_range: false,
    reference: reference,
}

/// Input: stats; output: projections, changed in place.
fn reference(p: &FeaturesParams, inputs: &[&[f32]], projections: &mut [f32]) {
    let &[stats] = inputs else { return };
    for [batch, head] in indices([p.batch, p.heads]) {
        let stats_of = |row: u32| p.stats.row(stats, &[batch, head, row], 2);
        let head_max = (0..p.rows).map(|row| stats_of(row)[1]).fold(f32::NEG_INFINITY, f32::max);
        for row in 0..p.rows {
            let &[half_square, row_max] = stats_of(row) else { return };
            let max = if p.shared_max == 0 { row_max } else { head_max };
            for element in p.projections.row_mut(projections, &[batch, head, row], p.features) {
                let exponent = f64::from(*element) - f64::from(max) - f64::from(half_square);
                *element = (exponent.exp() + 1e-6) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn whole_buffers_are_seen_as_they_lie() {
        let [stats, projections] = [(0, 2), (1, 6)].map(|(buffer, width)| View::of(BufferId(buffer), &[2, 3, 5, width]));
        let (params, _) = Features { stats, projections, shared_max: 1 }.place().expect("they fit");
        let [stats, projections] = [2, 6].map(|width| BoundView::new(0, &[15 * width, 5 * width, width]));
        let sizes = FeaturesParams { batch: 2, heads: 3, rows: 5, features: 6, shared_max: 1, ..params };
        assert_eq!(params, FeaturesParams { stats, projections, ..sizes });
        assert_eq!(params.accesses(), [Extent::dense(0, 60), Extent::dense(0, 180)]);
    }
}
