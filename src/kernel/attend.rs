//! Segmented attention: a softmax and an output of its own for every query row and every segment of keys.

use super::arithmetic::{dot, softmax};
use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_HEAD_SIZE, MAX_VALUE_SIZE, MIN_KEYS_PER_TILE};
use crate::view::{BoundView, indices};

/// Rows of a workgroup, one for each invocation.
const WORKGROUP: u32 = 64;

kernel! {
    /// Segmented attention (`attend`): `tokens[b,h,g,r,f] = sum_j softmax_j(scale * queries[b,h,g,r] . keys[b,h,g,f,j]) values[b,h,g,f,j]`.
    Attend, AttendParams, "attend", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Groups: each has queries and keys of its own.
        groups,
        /// Query rows of a group.
        rows,
        /// Key segments of a group: each has a softmax and an output of its own.
        segments,
        /// Keys of a segment, without the extra one.
        key_count "keys",
        /// Elements of a query and a key.
        head_size "head size" <= MAX_HEAD_SIZE,
        /// Elements of a value.
        value_size "value size" <= MAX_VALUE_SIZE,
    }
    checks {
        "extra keys + 1": p.extra_keys.saturating_add(1) => 2,
    }
    values {
        /// Factor on every score.
        scale: f32,
    }
    flags {
        /// 1 if every segment has the extra key ahead of its own (the class token in divided attention), else 0.
        extra_keys,
    }
    read queries as any {
        /// Queries.
        queries: [batch, heads, groups, rows; head_size],
    }
    read keys as any {
        /// Keys, and an extra one that all groups and segments share.
        keys: [batch, heads, groups, segments, key_count; head_size] extra extra_keys [batch, heads],
    }
    read values as any {
        /// A value for each key.
        values: [batch, heads, groups, segments, key_count; value_size] extra extra_keys [batch, heads],
    }
    write tokens as any {
        /// An output for each query and segment.
        tokens: [batch, heads, groups, rows, segments; value_size],
    }
    constants {
        HEAD_VECTORS: vectors_of(p.head_size),
        VALUE_VECTORS: vectors_of(p.value_size),
        KEYS_PER_TILE: keys_per_tile(p.head_size, p.value_size),
    }
    examples: &[&[1, 1, 16], &[16, 16, 16], &[32, 32, 8], &[1, 32, 16], &[64, 32, 8]],
    workgroup: WORKGROUP,
    workgroups: count(&[p.rows.div_ceil(WORKGROUP), p.segments, p.heads, p.groups, p.batch]),
    multiply_adds: {
        let sizes = u64::from(p.head_size) + u64::from(p.value_size);
        count(&[p.batch, p.heads, p.groups, p.rows, p.segments]).saturating_mul(p.all_keys() * sizes)
    },
    iterations: {
        let [head, value] = [p.head_size, p.value_size].map(|size| u64::from(vectors_of(size)));
        let (tile, lanes) = (u64::from(keys_per_tile(p.head_size, p.value_size)), u64::from(WORKGROUP));
        let staging = looped((tile * head).div_ceil(lanes), 0) + looped((tile * value).div_ceil(lanes), 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let sums = looped(value / 4, 0) + looped(tile / 4, looped(value / 4, 0));
        let tiles = p.all_keys().div_ceil(tile);
        2 * looped(head, 0) + looped(tiles, staging + looped(head / 4, 0) + scores + sums) + looped(value, 0)
    },
    accesses_in_range: true,
    reference: reference,
}

impl AttendParams {
    /// Keys of a segment, the extra one included.
    pub(crate) fn all_keys(&self) -> u64 {
        u64::from(self.key_count) + u64::from(self.extra_keys)
    }
}

/// Vectors of four that hold so many elements, rounded up to a multiple of four: loops over them are unrolled by four.
pub(super) fn vectors_of(elements: u32) -> u32 {
    elements.div_ceil(16) * 4
}

/// Keys of a tile. Keys and values of a tile, and a unit for each key, fit in the 16 KiB of workgroup memory that every device has.
pub(super) fn keys_per_tile(head_size: u32, value_size: u32) -> u32 {
    let key_bytes = vectors_of(head_size).saturating_add(vectors_of(value_size)).saturating_mul(16).saturating_add(4);
    let many = 2 * MIN_KEYS_PER_TILE;
    if key_bytes.saturating_mul(many) <= 16 << 10 { many } else { MIN_KEYS_PER_TILE }
}

/// Inputs: queries, keys, values; output: tokens. All scores of a row at once.
fn reference(p: &AttendParams, inputs: &[&[f32]], tokens: &mut [f32]) {
    let &[queries, keys, values] = inputs else { return };
    for [batch, head, group, segment, row] in indices([p.batch, p.heads, p.groups, p.segments, p.rows]) {
        let query = p.queries.row(queries, &[batch, head, group, row], p.head_size);
        let at = [batch, head, group, segment];
        let all_keys = 0..p.key_count + p.extra_keys;
        let score = |key| f64::from(p.scale) * dot(query, of_key(p, &p.keys, keys, at, key, p.head_size));
        let mut weights: Vec<f64> = all_keys.clone().map(score).collect();
        softmax(&mut weights);
        let mut sum = vec![0.0f64; p.value_size as usize];
        for (key, weight) in all_keys.zip(weights) {
            for (sum, &value) in sum.iter_mut().zip(of_key(p, &p.values, values, at, key, p.value_size)) {
                *sum += weight * f64::from(value);
            }
        }
        let token = p.tokens.row_mut(tokens, &[batch, head, group, row, segment], p.value_size);
        for (element, sum) in token.iter_mut().zip(sum) {
            *element = sum as f32;
        }
    }
}

/// What a view has for a key of a segment, the extra one first.
fn of_key<'e>(p: &AttendParams, view: &BoundView, elements: &'e [f32], at: [u32; 4], key: u32, width: u32) -> &'e [f32] {
    let [batch, head, group, segment] = at;
    match key.checked_sub(p.extra_keys) {
        Some(own) => view.row(elements, &[batch, head, group, segment, own], width),
        None => &elements[view.extra_at(&[batch, head])..][..width as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BufferId, View};

    /// Divided attention over packed queries, keys and values: 2 items, a class token and 3 frames of 5 patches, 4 heads of 8.
    fn divided() -> Attend {
        let packed = View::of(BufferId(0), &[2, 16, 3, 4, 8]);
        let part = |part| packed.index(2, part);
        let grouped = |view: View| view.from(1, 1).split(1, 5).ordered(&[0, 3, 1, 2, 4]);
        let keyed = |view: View| grouped(view).with_extra(&view).split(2, 1);
        let out = grouped(View::of(BufferId(1), &[2, 16, 4, 8])).with_axis(4, 1);
        Attend { queries: grouped(part(0)), keys: keyed(part(1)), values: keyed(part(2)), tokens: out, scale: 0.5 }
    }

    #[test]
    fn a_request_of_views_is_what_is_written_by_hand() {
        let (params, bindings) = divided().place().expect("views fit");
        let view = |offset, strides: &[u32]| BoundView::new(offset, strides);
        let by_hand = AttendParams {
            queries: view(96, &[1536, 8, 480, 96]),
            keys: view(96 + 32, &[1536, 8, 480, 0, 96]).with_extra(32),
            values: view(96 + 64, &[1536, 8, 480, 0, 96]).with_extra(64),
            tokens: view(32, &[512, 8, 160, 32, 0]),
            batch: 2,
            heads: 4,
            groups: 3,
            rows: 5,
            segments: 1,
            key_count: 5,
            head_size: 8,
            value_size: 8,
            scale: 0.5,
            extra_keys: 1,
        };
        assert_eq!(params, by_hand);
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), [3008, 3040, 3072, 1024]);
        assert_eq!(params.accesses()[1].elements, 2 * 4 * (15 + 1) * 8);
        assert!(params.counts().contains(&("extra keys + 1", 2, 2)));
    }

    #[test]
    fn keys_and_values_both_have_the_extra_row() {
        let whole = divided();
        let without = View::of(BufferId(0), &[2, 4, 3, 1, 5, 8]);
        assert!(Attend { values: without, ..whole }.place().is_err());
    }
}
