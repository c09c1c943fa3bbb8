//! Scores of deformable attention: queries against keys at the positions of samples.

use super::arithmetic::dot;
use super::declaration::{count, kernel, looped};
use super::samples::{Grid, MAX_SIDE};
use crate::view::indices;

/// Invocations of a workgroup, one a logit.
const INVOCATIONS: u32 = 64;

kernel! {
    /// Scores of deformable attention (`deformable_scores`): `logits[b,h,n,g,p] = scale * queries[b,h,n] . key` with the key of `keys[b,h]` where
    /// [`Deformable`](crate::kernel::Deformable) has the value.
    DeformableScores, DeformableScoresParams, "deformable_scores", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Elements of a query or key.
        head_size "head size",
    }
    given {
        /// `P`: samples in each frame of a sub-clip.
        samples,
        /// Frames of the grid, a multiple of `sub_clip`.
        frames,
        /// `G`: frames of a sub-clip.
        sub_clip "frames of a sub-clip",
        /// Patches from top to bottom.
        grid_rows "grid rows" <= MAX_SIDE,
        /// Patches from left to right.
        grid_columns "grid columns" <= MAX_SIDE,
    }
    values {
        /// Factor on the products.
        scale: f32,
    }
    read queries as any {
        /// Queries of the tokens.
        queries: [batch, heads, (p.grid().tokens()); head_size],
    }
    read keys as any {
        /// Keys of the tokens.
        keys: [batch, heads, (p.grid().tokens()); head_size],
    }
    read displacements {
        /// Displacements of each token, `[G, P, 2]` without gaps.
        displacements: [batch, heads, (p.grid().tokens()); (count(&[p.sub_clip, p.samples, 2]))],
    }
    write logits {
        /// Logits of each token, `[G, P]` without gaps.
        logits: [batch, heads, (p.grid().tokens()); (count(&[p.sub_clip, p.samples]))],
    }
    workgroup: INVOCATIONS,
    workgroups: p.logit_count().div_ceil(INVOCATIONS.into()),
    multiply_adds: p.logit_count().saturating_mul(count(&[4, p.head_size])),
    // Four corners, each in vectors of four and a rest.
    iterations: 4 * (looped((p.head_size / 4).into(), 0) + looped((p.head_size % 4).into(), 0)),
    accesses_in_range: false,
    reference: reference,
}

impl DeformableScoresParams {
    fn grid(&self) -> Grid {
        let Self { frames, grid_rows: rows, grid_columns: columns, sub_clip, samples, .. } = *self;
        Grid { frames, rows, columns, sub_clip, samples }
    }

    fn logit_count(&self) -> u64 {
        count(&[self.batch, self.heads, self.frames, self.grid_rows, self.grid_columns, self.sub_clip, self.samples])
    }
}

/// Inputs: queries, keys, displacements; output: logits.
fn reference(p: &DeformableScoresParams, inputs: &[&[f32]], logits: &mut [f32]) {
    let &[queries, keys, displacements] = inputs else { return };
    let samples = p.sub_clip * p.samples;
    for index @ [batch, head, token] in indices([p.batch, p.heads, p.frames * p.grid_rows * p.grid_columns]) {
        let query = p.queries.row(queries, &index, p.head_size);
        let displaced = p.displacements.row(displacements, &index, 2 * samples).chunks(2);
        let logits = p.logits.row_mut(logits, &index, samples);
        for ((sample, by), logit) in (0..).zip(displaced).zip(logits) {
            let corners = p.grid().corners(token, sample, (by[0], by[1])).into_iter();
            let scores = corners.map(|(corner, share)| share * dot(query, p.keys.row(keys, &[batch, head, corner], p.head_size)));
            *logit = (f64::from(p.scale) * scores.sum::<f64>()) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams as _, Request as _};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_come_to_offsets_and_strides() {
        // Packed tokens: two frames of 3 x 5 patches, four heads of eight.
        let packed = View::of(BufferId(0), &[2, 30, 3, 4, 8]);
        let [queries, keys] = [0, 1].map(|part| packed.index(2, part).ordered(&[0, 2, 1, 3]));
        let [displacements, logits] = [(1, 20), (2, 10)].map(|(buffer, size)| View::of(BufferId(buffer), &[2, 4, 30, size]));
        let [frames, sub_clip, samples, grid_rows, grid_columns] = [2, 2, 5, 3, 5];
        let scale = 0.25;
        let request =
            DeformableScores { queries, keys, displacements, logits, samples, frames, sub_clip, grid_rows, grid_columns, scale };
        let (found, _) = request.place().expect("views that fit");
        let expected = DeformableScoresParams {
            queries: BoundView::new(0, &[30 * 96, 8, 96]),
            keys: BoundView::new(32, &[30 * 96, 8, 96]),
            displacements: BoundView::new(0, &[4 * 600, 600, 20]),
            logits: BoundView::new(0, &[4 * 300, 300, 10]),
            batch: 2,
            heads: 4,
            head_size: 8,
            ..found
        };
        assert_eq!((found, found.accesses()), (expected, expected.accesses()));
    }
}
