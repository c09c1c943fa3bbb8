//! Params of deformable attention: sampling, its scores, and the motion that it begins from.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{self, Kernel, KernelParams};

params! {
    /// Deformable space-time attention (`deformable`): `tokens[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) value` with the value of
    /// `values[b,h]` at `(x + dx, y + dy)` of frame `g` of the sub-clip of `n = (f,y,x)`, where `(dx, dy) = displacements[b,h,n,g,p]`, in patches.
    ///
    /// Values are bilinear between patches and zero outside of the grid, as they are for infinite displacements; a NaN displacement makes the whole
    /// token NaN.
    DeformableParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Frames of the grid, a multiple of `sub_clip`.
        frames: u32,
        /// Patches from top to bottom.
        grid_rows: u32,
        /// Patches from left to right.
        grid_columns: u32,
        /// `G`: frames of a sub-clip.
        sub_clip: u32,
        /// `P`: samples in each of them.
        samples: u32,
        /// Numbers of a value.
        head_size: u32,
        /// First element of `values`.
        v_offset: u32,
        /// From a batch item of `values` to the next.
        v_batch_stride: u32,
        /// From a head of `values` to the next.
        v_head_stride: u32,
        /// From a token's value to the next token's.
        v_token_stride: u32,
        /// First element of `displacements`.
        displacement_offset: u32,
        /// From a batch item of `displacements` to the next.
        displacement_batch_stride: u32,
        /// From a head of `displacements` to the next.
        displacement_head_stride: u32,
        /// From a token's `[G,P,2]` to the next token's.
        displacement_token_stride: u32,
        /// First element of `logits`.
        logit_offset: u32,
        /// From a batch item of `logits` to the next.
        logit_batch_stride: u32,
        /// From a head of `logits` to the next.
        logit_head_stride: u32,
        /// From a token's `[G,P]` to the next token's.
        logit_token_stride: u32,
        /// First element of `tokens`.
        out_offset: u32,
        /// From a batch item of `tokens` to the next.
        out_batch_stride: u32,
        /// From a head of `tokens` to the next.
        out_head_stride: u32,
        /// From a token to the next.
        out_token_stride: u32,
    }
}

/// Tokens of a grid. Whole sub-clips, so that a last one of fewer frames is refused as reaching beyond what is bound.
fn tokens_of_sub_clips([frames, grid_rows, grid_columns, sub_clip]: [u32; 4]) -> u32 {
    let whole = u64::from(frames).div_ceil(sub_clip.max(1).into()) * u64::from(sub_clip);
    let tokens = whole.saturating_mul(count(&[grid_rows, grid_columns]));
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

impl DeformableParams {
    fn grid(&self) -> [u32; 4] {
        [self.frames, self.grid_rows, self.grid_columns, self.sub_clip]
    }
}

impl KernelParams for DeformableParams {
    const KERNEL: Kernel = Kernel::Deformable;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let tokens = tokens_of_sub_clips(p.grid());
        let samples = count(&[p.sub_clip, p.samples]);
        let of = |offset, [batch, head, token]: [u32; 3], innermost: u64| {
            extent(offset, &[(p.batch, batch), (p.heads, head), (tokens, token)], innermost)
        };
        let displacement_strides = [p.displacement_batch_stride, p.displacement_head_stride, p.displacement_token_stride];
        vec![
            of(p.v_offset, [p.v_batch_stride, p.v_head_stride, p.v_token_stride], p.head_size.into()),
            of(p.displacement_offset, displacement_strides, samples.saturating_mul(2)),
            of(p.logit_offset, [p.logit_batch_stride, p.logit_head_stride, p.logit_token_stride], samples),
            of(p.out_offset, [p.out_batch_stride, p.out_head_stride, p.out_token_stride], p.head_size.into()),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        counts([self.batch, self.heads, self.samples, self.head_size], self.grid())
    }

    fn iterations(&self) -> u64 {
        let samples = count(&[self.sub_clip, self.samples]);
        looped(samples, 0) + looped(samples.div_ceil(16), looped(16, 0))
    }

    fn multiply_adds(&self) -> u64 {
        let samples =
            count(&[self.batch, self.heads, self.frames, self.grid_rows, self.grid_columns, self.sub_clip, self.samples]);
        samples.saturating_mul(count(&[4, self.head_size]))
    }

    fn workgroups(&self) -> u64 {
        let tiles = count(&[self.frames, self.grid_rows, self.grid_columns]).div_ceil(4);
        tiles.saturating_mul(count(&[self.head_size.div_ceil(64), self.heads, self.batch]))
    }
}

/// The counts that both have. Grids are so small that the numbers of their patches are exact as float32.
fn counts(
    [batch, heads, samples, head_size]: [u32; 4],
    [frames, grid_rows, grid_columns, sub_clip]: [u32; 4],
) -> Vec<(&'static str, u32, u32)> {
    let mut counts = any(&[("batch", batch), ("heads", heads), ("samples", samples), ("head size", head_size)]);
    counts.extend(any(&[("frames", frames), ("frames of a sub-clip", sub_clip)]));
    counts.extend([("grid rows", grid_rows, 1 << 23), ("grid columns", grid_columns, 1 << 23)]);
    counts
}

params! {
    /// Scores of deformable attention (`deformable_scores`): `logits[b,h,n,g,p] = scale * queries[b,h,n] . key` with the key of `keys[b,h]` where
    /// [`DeformableParams`] has the value.
    DeformableScoresParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Frames of the grid, a multiple of `sub_clip`.
        frames: u32,
        /// Patches from top to bottom.
        grid_rows: u32,
        /// Patches from left to right.
        grid_columns: u32,
        /// `G`: frames of a sub-clip.
        sub_clip: u32,
        /// `P`: samples in each of them.
        samples: u32,
        /// Numbers of a query or key.
        head_size: u32,
        /// Factor on the products.
        scale: f32,
        /// First element of `queries`.
        q_offset: u32,
        /// From a batch item of `queries` to the next.
        q_batch_stride: u32,
        /// From a head of `queries` to the next.
        q_head_stride: u32,
        /// From a token's query to the next token's.
        q_token_stride: u32,
        /// First element of `keys`.
        k_offset: u32,
        /// From a batch item of `keys` to the next.
        k_batch_stride: u32,
        /// From a head of `keys` to the next.
        k_head_stride: u32,
        /// From a token's key to the next token's.
        k_token_stride: u32,
        /// First element of `displacements`.
        displacement_offset: u32,
        /// From a batch item of `displacements` to the next.
        displacement_batch_stride: u32,
        /// From a head of `displacements` to the next.
        displacement_head_stride: u32,
        /// From a token's `[G,P,2]` to the next token's.
        displacement_token_stride: u32,
        /// First element of `logits`.
        logit_offset: u32,
        /// From a batch item of `logits` to the next.
        logit_batch_stride: u32,
        /// From a head of `logits` to the next.
        logit_head_stride: u32,
        /// From a token's `[G,P]` to the next token's.
        logit_token_stride: u32,
    }
}

impl DeformableScoresParams {
    fn grid(&self) -> [u32; 4] {
        [self.frames, self.grid_rows, self.grid_columns, self.sub_clip]
    }

    fn numbers(&self) -> u64 {
        count(&[self.batch, self.heads, self.frames, self.grid_rows, self.grid_columns, self.sub_clip, self.samples])
    }
}

impl KernelParams for DeformableScoresParams {
    const KERNEL: Kernel = Kernel::DeformableScores;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let tokens = tokens_of_sub_clips(p.grid());
        let samples = count(&[p.sub_clip, p.samples]);
        let of = |offset, [batch, head, token]: [u32; 3], innermost: u64| {
            extent(offset, &[(p.batch, batch), (p.heads, head), (tokens, token)], innermost)
        };
        let displacement_strides = [p.displacement_batch_stride, p.displacement_head_stride, p.displacement_token_stride];
        vec![
            of(p.q_offset, [p.q_batch_stride, p.q_head_stride, p.q_token_stride], p.head_size.into()),
            of(p.k_offset, [p.k_batch_stride, p.k_head_stride, p.k_token_stride], p.head_size.into()),
            of(p.displacement_offset, displacement_strides, samples.saturating_mul(2)),
            of(p.logit_offset, [p.logit_batch_stride, p.logit_head_stride, p.logit_token_stride], samples),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        counts([self.batch, self.heads, self.samples, self.head_size], self.grid())
    }

    fn iterations(&self) -> u64 {
        // Four corners, each in fours and a rest.
        4 * (looped((self.head_size / 4).into(), 0) + looped((self.head_size % 4).into(), 0))
    }

    fn multiply_adds(&self) -> u64 {
        self.numbers().saturating_mul(count(&[4, self.head_size]))
    }

    fn workgroups(&self) -> u64 {
        self.numbers().div_ceil(64)
    }
}

/// Motion by block matching (`match_blocks`): `motion[b,f,y,x,g] = (i, j) / side` with the shift of at most `radius` pixels by which the patch's
/// pixels are most like those of frame `g` of its sub-clip, by the sum of absolute differences of whole numbers. Blocks stay inside of the frame.
///
/// Of equal sums the shortest shift wins, then the least `|j|`, then `j < 0` before `j > 0`, then `i < 0` before `i > 0`. In its own frame a
/// patch's motion is zero. The whole numbers are `round(number * scale + shift)`, from 0 to 65,535.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MatchBlocksParams {
    /// Batch items.
    pub batch: u32,
    /// Channels of the clip.
    pub channels: u32,
    /// Frames of the grid, a multiple of `sub_clip`.
    pub frames: u32,
    /// Patches from top to bottom.
    pub grid_rows: u32,
    /// Patches from left to right.
    pub grid_columns: u32,
    /// Frames of the clip for each of the grid, which is the first of them.
    pub depth: u32,
    /// Height and width of a patch, pixels.
    pub side: u32,
    /// `G`: frames of the grid in a sub-clip.
    pub sub_clip: u32,
    /// Farthest shift, pixels.
    pub radius: u32,
    /// First number of the clip, `[batch, channels, frames * depth, grid_rows * side, grid_columns * side]` without gaps.
    pub clip_offset: u32,
    /// First number of the motion, `[batch, frames, grid_rows, grid_columns, sub_clip, 2]` without gaps.
    pub motion_offset: u32,
    /// Factor from the first channel's numbers to whole ones.
    pub red_scale: f32,
    /// The same of the second channel.
    pub green_scale: f32,
    /// The same of the third channel.
    pub blue_scale: f32,
    /// Added to the first channel's numbers then.
    pub red_shift: f32,
    /// The same of the second channel.
    pub green_shift: f32,
    /// The same of the third channel.
    pub blue_shift: f32,
}

impl kernel::Sealed for MatchBlocksParams {}

impl kernel::IntoParams for MatchBlocksParams {
    type Params = kernel::MatchBlocksParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let frames = p.frames.saturating_mul(p.depth);
        let (rows, columns) = (p.grid_rows.saturating_mul(p.side), p.grid_columns.saturating_mul(p.side));
        let clip = super::dense(p.clip_offset, &[p.batch, p.channels, frames, rows, columns]);
        let motion = [p.batch, p.frames, p.grid_rows, p.grid_columns, p.sub_clip, 2];
        kernel::MatchBlocksParams {
            clip: super::first_of_each(clip, 2, p.depth),
            motion: super::dense(p.motion_offset, &motion),
            batch: p.batch,
            channels: p.channels,
            frames: p.frames,
            grid_rows: p.grid_rows,
            grid_columns: p.grid_columns,
            sub_clip: p.sub_clip,
            side: p.side,
            radius: p.radius,
            red_scale: p.red_scale,
            green_scale: p.green_scale,
            blue_scale: p.blue_scale,
            red_shift: p.red_shift,
            green_shift: p.green_shift,
            blue_shift: p.blue_shift,
        }
    }
}
