//! The softmax rows of all queries over one segment of keys, written out.

use super::arithmetic::{dot, softmax};
use super::attend::{keys_per_tile, vectors_of};
use super::declaration::{count, kernel, looped};
use crate::shape::MAX_HEAD_SIZE;
use crate::view::indices;

/// Rows of a workgroup, one for each invocation.
const WORKGROUP: u32 = 64;

kernel! {
    /// Attention weights of all queries (`attend_weights`): `weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r] . keys[b,h,g,j])`.
    AttendWeights, AttendWeightsParams, "attend_weights", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Groups: each has queries and keys of its own.
        groups,
        /// Query rows of a group.
        rows,
        /// Keys of a group.
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
        queries: [batch, heads, groups, rows; head_size],
    }
    read keys as any {
        /// Keys.
        keys: [batch, heads, groups, key_count; head_size],
    }
    write weights as any {
        /// A row for each query.
        weights: [batch, heads, groups, rows; key_count],
    }
    constants {
        HEAD_VECTORS: vectors_of(p.head_size),
        KEYS_PER_TILE: keys_per_tile(p.head_size, 0),
    }
    examples: &[&[4, 16], &[32, 16], &[64, 8]],
    workgroup: WORKGROUP,
    workgroups: count(&[p.rows.div_ceil(WORKGROUP), p.heads, p.groups, p.batch]),
    multiply_adds: count(&[p.batch, p.heads, p.groups, p.rows, p.key_count, p.head_size]),
    iterations: {
        let (head, tile) = (u64::from(vectors_of(p.head_size)), u64::from(keys_per_tile(p.head_size, 0)));
        let staging = looped((tile * head).div_ceil(WORKGROUP.into()), 0) + looped(head / 4, 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let tiles = u64::from(p.key_count).div_ceil(tile);
        2 * looped(head, 0) + 2 * looped(tiles, staging + scores + looped(tile / 4, 0))
    },
    accesses_in_range: true,
    reference: reference,
}

/// Inputs: queries, keys; output: weights.
fn reference(p: &AttendWeightsParams, inputs: &[&[f32]], weights: &mut [f32]) {
    let &[queries, keys] = inputs else { return };
    for index in indices([p.batch, p.heads, p.groups, p.rows]) {
        let [batch, head, group, _] = index;
        let query = p.queries.row(queries, &index, p.head_size);
        let key_at = |key| p.keys.row(keys, &[batch, head, group, key], p.head_size);
        let mut shares: Vec<f64> = (0..p.key_count).map(|key| f64::from(p.scale) * dot(query, key_at(key))).collect();
        softmax(&mut shares);
        for (weight, share) in p.weights.row_mut(weights, &index, p.key_count).iter_mut().zip(shares) {
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
        // One group whose keys are shared by the heads.
        let (queries, weights) = (of(0, &[6, 3, 8]).ordered(&[1, 0, 2]).split(0, 1), of(2, &[3, 1, 6, 12]));
        let (params, bindings) =
            AttendWeights { queries, keys: of(1, &[12, 8]), weights, scale: 0.5 }.place().expect("views fit");
        let by_hand = AttendWeightsParams {
            queries: BoundView::new(0, &[0, 8, 0, 24]),
            keys: BoundView::new(0, &[0, 0, 0, 8]),
            weights: BoundView::new(0, &[0, 72, 0, 12]),
            batch: 1,
            heads: 3,
            groups: 1,
            rows: 6,
            key_count: 12,
            head_size: 8,
            scale: 0.5,
        };
        assert_eq!(params, by_hand);
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), [144, 96, 216]);
    }
}
