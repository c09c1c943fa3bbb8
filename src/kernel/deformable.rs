//! Deformable space-time attention: each query attends to points of its own sub-clip.

use super::arithmetic::softmax;
use super::declaration::{count, kernel, looped};
use super::samples::{Grid, MAX_SIDE};
use crate::view::indices;

/// Queries of a workgroup.
const QUERIES: u32 = 4;
/// Invocations of a query.
const LANES: u32 = 16;
/// Elements of a value that a workgroup takes, four an invocation.
const COLUMNS: u32 = 4 * LANES;

kernel! {
    /// Deformable space-time attention (`deformable`): `tokens[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) value` with the value of
    /// `values[b,h]` at `(x + dx, y + dy)` of frame `g` of the sub-clip of `n = (f,y,x)`, where `(dx, dy) = displacements[b,h,n,g,p]`, in patches.
    ///
    /// Values are bilinear between patches and zero outside of the grid, as they are for infinite displacements; a NaN displacement makes the whole
    /// token NaN.
    Deformable, DeformableParams, "deformable", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Elements of a value.
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
    read values as any {
        /// Values of the tokens.
        values: [batch, heads, (p.grid().tokens()); head_size],
    }
    read displacements {
        /// Displacements of each token, `[G, P, 2]` without gaps.
        displacements: [batch, heads, (p.grid().tokens()); (count(&[p.sub_clip, p.samples, 2]))],
    }
    read logits {
        /// Logits of each token, `[G, P]` without gaps.
        logits: [batch, heads, (p.grid().tokens()); (count(&[p.sub_clip, p.samples]))],
    }
    write tokens as any {
        /// Outputs of the tokens.
        tokens: [batch, heads, (p.grid().tokens()); head_size],
    }
    shared {
        QUERIES: QUERIES,
        LANES: LANES,
        COLUMNS: COLUMNS,
    }
    workgroup: QUERIES * LANES,
    workgroups: count(&[p.frames, p.grid_rows, p.grid_columns])
        .div_ceil(QUERIES.into())
        .saturating_mul(count(&[p.head_size.div_ceil(COLUMNS), p.heads, p.batch])),
    multiply_adds: count(&[p.batch, p.heads, p.frames, p.grid_rows, p.grid_columns, p.sub_clip, p.samples])
        .saturating_mul(count(&[4, p.head_size])),
    iterations: looped(count(&[p.sub_clip, p.samples]), 0)
        + looped(count(&[p.sub_clip, p.samples]).div_ceil(LANES.into()), looped(LANES.into(), 0)),
    accesses_in_range: false,
    reference: reference,
}

impl DeformableParams {
    fn grid(&self) -> Grid {
        let Self { frames, grid_rows: rows, grid_columns: columns, sub_clip, samples, .. } = *self;
        Grid { frames, rows, columns, sub_clip, samples }
    }
}

/// Inputs: values, displacements, logits; output: tokens.
fn reference(p: &DeformableParams, inputs: &[&[f32]], tokens: &mut [f32]) {
    let &[values, displacements, logits] = inputs else { return };
    let samples = p.sub_clip * p.samples;
    for index @ [batch, head, token] in indices([p.batch, p.heads, p.frames * p.grid_rows * p.grid_columns]) {
        let mut weights: Vec<f64> = p.logits.row(logits, &index, samples).iter().map(|&logit| logit.into()).collect();
        softmax(&mut weights);
        let displaced = p.displacements.row(displacements, &index, 2 * samples);
        let mut sum = vec![0.0f64; p.head_size as usize];
        for ((sample, by), weight) in (0..).zip(displaced.chunks(2)).zip(weights) {
            for (corner, share) in p.grid().corners(token, sample, (by[0], by[1])) {
                let value = p.values.row(values, &[batch, head, corner], p.head_size);
                for (sum, &value) in sum.iter_mut().zip(value) {
                    *sum += weight * share * f64::from(value);
                }
            }
        }
        for (token, sum) in p.tokens.row_mut(tokens, &index, p.head_size).iter_mut().zip(sum) {
            *token = sum as f32;
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
        // Values are the last part of packed tokens: two frames of 3 x 5 patches, four heads of eight.
        let packed = View::of(BufferId(0), &[2, 30, 3, 4, 8]).index(2, 2).ordered(&[0, 2, 1, 3]);
        let [displacements, logits] = [(1, 20), (2, 10)].map(|(buffer, size)| View::of(BufferId(buffer), &[2, 4, 30, size]));
        let tokens = View::of(BufferId(3), &[2, 30, 4, 8]).ordered(&[0, 2, 1, 3]);
        let [frames, sub_clip, samples, grid_rows, grid_columns] = [2, 2, 5, 3, 5];
        let request =
            Deformable { values: packed, displacements, logits, tokens, samples, frames, sub_clip, grid_rows, grid_columns };
        let (found, _) = request.place().expect("views that fit");
        let expected = DeformableParams {
            values: BoundView::new(64, &[30 * 96, 8, 96]),
            displacements: BoundView::new(0, &[4 * 600, 600, 20]),
            logits: BoundView::new(0, &[4 * 300, 300, 10]),
            tokens: BoundView::new(0, &[30 * 32, 8, 32]),
            batch: 2,
            heads: 4,
            head_size: 8,
            ..found
        };
        assert_eq!((found, found.accesses()), (expected, expected.accesses()));
        // What a token has is told by the params, and three frames are no whole sub-clips.
        assert!(Deformable { samples: 4, ..request }.place().is_err());
        assert!(Deformable { frames: 3, ..request }.place().is_err());
    }
}
