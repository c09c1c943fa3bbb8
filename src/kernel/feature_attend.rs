//! Attention by features: queries' features against sums of keys' features.

use super::declaration::{count, kernel, looped};
use crate::shape::MAX_VALUE_SIZE;
use crate::view::indices;

/// Features that a workgroup stages at a time.
const FEATURES_PER_TILE: u32 = 16;

kernel! {
    /// Attention by features (`feature_attend`):
    /// `tokens[b,h,r,f] = sum_m queries[b,h,r,m] key_values[b,h,f,m] / sum_m queries[b,h,r,m] key_sums[b,h,f,m]`.
    FeatureAttend, FeatureAttendParams, "feature_attend", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Query rows.
        rows,
        /// Key segments.
        segments,
        /// Features.
        features,
        /// Elements of a value and a token.
        value_size "value size" <= MAX_VALUE_SIZE,
    }
    read queries {
        /// Features of the queries.
        queries: [batch, heads, rows; features],
    }
    read key_values {
        /// Sums of key features times values.
        key_values: [batch, heads, segments, features, value_size; 1],
    }
    read key_sums {
        /// Sums of key features.
        key_sums: [batch, heads, segments; features],
    }
    write tokens {
        /// A token a query row and segment.
        tokens: [batch, heads, rows, segments; value_size],
    }
    constants { VALUE_VECTORS: p.value_vectors(), }
    examples: &[&[4], &[32]],
    shared { FEATURES_PER_TILE: FEATURES_PER_TILE, }
    workgroup: 64,
    workgroups: count(&[p.rows.div_ceil(64), p.segments, p.heads, p.batch]),
    multiply_adds: count(&[p.batch, p.heads, p.rows, p.segments, p.features]).saturating_mul(u64::from(p.value_size) + 1),
    iterations: p.loop_iterations(),
    accesses_in_range: false,
    reference: reference,
}

impl FeatureAttendParams {
    /// The value size in vec4, rounded up to a multiple of four.
    fn value_vectors(&self) -> u32 {
        self.value_size.div_ceil(16) * 4
    }

    fn loop_iterations(&self) -> u64 {
        let (tile, vectors) = (u64::from(FEATURES_PER_TILE), u64::from(self.value_vectors()));
        let staging = looped((tile * vectors).div_ceil(64), 0);
        looped(u64::from(self.features).div_ceil(tile), staging + looped(tile, looped(vectors / 4, 0))) + looped(vectors, 0)
    }
}

/// Inputs: queries, key_values, key_sums; output: tokens.
fn reference(p: &FeatureAttendParams, inputs: &[&[f32]], tokens: &mut [f32]) {
    let &[queries, key_values, key_sums] = inputs else { return };
    for [batch, head, segment, row] in indices([p.batch, p.heads, p.segments, p.rows]) {
        let query = p.queries.row(queries, &[batch, head, row], p.features);
        let query: Vec<f64> = query.iter().map(|&element| element.into()).collect();
        let sums = p.key_sums.row(key_sums, &[batch, head, segment], p.features);
        let row_sum: f64 = query.iter().zip(sums).map(|(query, &sum)| query * f64::from(sum)).sum();
        let token = p.tokens.row_mut(tokens, &[batch, head, row, segment], p.value_size);
        for (column, element) in (0..p.value_size).zip(token) {
            let value = |feature| f64::from(key_values[p.key_values.at(&[batch, head, segment, feature, column])]);
            let sum: f64 = query.iter().zip(0..p.features).map(|(query, feature)| query * value(feature)).sum();
            *element = (sum / row_sum) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn views_are_seen_as_they_lie() {
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // Values as columns.
        let key_values = of(1, &[2, 3, 4, 8, 6]).ordered(&[0, 1, 2, 4, 3]);
        let (queries, key_sums, tokens) = (of(0, &[2, 3, 5, 6]), of(2, &[2, 3, 4, 6]), of(3, &[2, 3, 5, 4, 8]));
        let (params, _) = FeatureAttend { queries, key_values, key_sums, tokens }.place().expect("they fit");
        let sizes = FeatureAttendParams { batch: 2, heads: 3, rows: 5, segments: 4, features: 6, value_size: 8, ..params };
        let expected = FeatureAttendParams {
            queries: BoundView::new(0, &[90, 30, 6]),
            key_values: BoundView::new(0, &[576, 192, 48, 1, 6]),
            key_sums: BoundView::new(0, &[72, 24, 6]),
            tokens: BoundView::new(0, &[480, 160, 32, 8]),
            ..sizes
        };
        assert_eq!(params, expected);
        assert_eq!(params.accesses(), [180, 1152, 144, 960].map(|elements| Extent::dense(0, elements)));
    }
}
