//! The softmax rows of chosen queries, written out: segmented attention never stores them.

use super::arithmetic::{dot, softmax};
use super::declaration::{count, kernel, looped};
use crate::shape::MAX_HEAD_SIZE;
use crate::view::indices;

/// Invocations that share a row.
const WORKGROUP: u32 = 64;

kernel! {
    /// Attention weights of chosen queries (`attend_rows`): `weights[b,h,i,f,j] = softmax_j(scale * queries[b,h,chosen[i]] . keys[b,h,f,j])`.
    AttendRows, AttendRowsParams, "attend_rows", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Query rows; indices in `chosen` are below this.
        rows,
        /// Chosen query rows.
        chosen_count "chosen rows",
        /// Key segments.
        segments,
        /// Keys of a segment.
        key_count "keys",
        /// Elements of a query and a key.
        head_size "head size" <= MAX_HEAD_SIZE,
    }
    values {
        /// Factor on every score.
        scale: f32,
    }
    read queries as any {
        /// Queries.
        queries: [batch, heads, rows; head_size],
    }
    read keys as any {
        /// Keys.
        keys: [batch, heads, segments, key_count; head_size],
    }
    read chosen as u32 {
        /// Indices of query rows.
        chosen: [chosen_count; 1],
    }
    write weights {
        /// A row for each chosen query and segment.
        weights: [batch, heads, chosen_count, segments; key_count],
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.batch, p.heads, p.chosen_count, p.segments]),
    multiply_adds: count(&[p.batch, p.heads, p.chosen_count, p.segments, p.key_count, p.head_size]),
    iterations: {
        let vectors = u64::from(p.head_size.div_ceil(4));
        let keys = u64::from(p.key_count.div_ceil(WORKGROUP));
        let reductions = 2 * looped(WORKGROUP.ilog2().into(), 0);
        looped(vectors, 0) + 2 * looped(keys, 2 * looped(vectors, 0)) + looped(keys, 0) + reductions
    },
    accesses_in_range: false,
    reference: reference,
}

/// Inputs: queries, keys, chosen (32-bit integers); output: weights.
fn reference(p: &AttendRowsParams, inputs: &[&[f32]], weights: &mut [f32]) {
    let &[queries, keys, chosen] = inputs else { return };
    for [batch, head, choice, segment] in indices([p.batch, p.heads, p.chosen_count, p.segments]) {
        let row = chosen[p.chosen.at(&[choice])].to_bits().min(p.rows - 1);
        let query = p.queries.row(queries, &[batch, head, row], p.head_size);
        let key_at = |key| p.keys.row(keys, &[batch, head, segment, key], p.head_size);
        let mut shares: Vec<f64> = (0..p.key_count).map(|key| f64::from(p.scale) * dot(query, key_at(key))).collect();
        softmax(&mut shares);
        let written = p.weights.row_mut(weights, &[batch, head, choice, segment], p.key_count);
        for (weight, share) in written.iter_mut().zip(shares) {
            *weight = share as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Request;
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn a_request_of_views_is_what_is_written_by_hand() {
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        let (queries, keys) = (of(0, &[7, 2, 8]).ordered(&[1, 0, 2]), of(1, &[3, 5, 2, 8]).ordered(&[2, 0, 1, 3]));
        let request = AttendRows { queries, keys, chosen: of(2, &[4]), weights: of(3, &[2, 4, 3, 5]), scale: 0.5 };
        let (params, bindings) = request.place().expect("views fit");
        let by_hand = AttendRowsParams {
            queries: BoundView::new(0, &[0, 8, 16]),
            keys: BoundView::new(0, &[0, 8, 80, 16]),
            chosen: BoundView::new(0, &[1]),
            weights: BoundView::new(0, &[0, 60, 15, 5]),
            batch: 1,
            heads: 2,
            rows: 7,
            chosen_count: 4,
            segments: 3,
            key_count: 5,
            head_size: 8,
            scale: 0.5,
        };
        assert_eq!(params, by_hand);
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), [112, 240, 4, 120]);
    }
}
