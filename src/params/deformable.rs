//! Params of deformable attention: sampling, its scores, and the motion that it begins from.

use super::{Extent, any, count, looped, params};
use crate::kernel::{self, IntoParams, Kernel, KernelParams, Sealed};
use crate::view::BoundView;

/// Numbers of a patch that block matching keeps in workgroup memory, at the most.
pub(crate) const MAX_MATCHED_NUMBERS: u32 = 3072;
/// Farthest that block matching looks, pixels.
pub(crate) const MAX_RADIUS: u32 = 127;

/// Deformable space-time attention (`deformable`): `tokens[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) value` with the value of
/// `values[b,h]` at `(x + dx, y + dy)` of frame `g` of the sub-clip of `n = (f,y,x)`, where `(dx, dy) = displacements[b,h,n,g,p]`, in patches.
///
/// Values are bilinear between patches and zero outside of the grid, as they are for infinite displacements; a NaN displacement makes the whole
/// token NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeformableParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Frames of the grid, a multiple of `sub_clip`.
    pub frames: u32,
    /// Patches from top to bottom.
    pub grid_rows: u32,
    /// Patches from left to right.
    pub grid_columns: u32,
    /// `G`: frames of a sub-clip.
    pub sub_clip: u32,
    /// `P`: samples in each of them.
    pub samples: u32,
    /// Elements of a value.
    pub head_size: u32,
    /// First element of `values`.
    pub v_offset: u32,
    /// From a batch item of `values` to the next.
    pub v_batch_stride: u32,
    /// From a head of `values` to the next.
    pub v_head_stride: u32,
    /// From a token's value to the next token's.
    pub v_token_stride: u32,
    /// First element of `displacements`.
    pub displacement_offset: u32,
    /// From a batch item of `displacements` to the next.
    pub displacement_batch_stride: u32,
    /// From a head of `displacements` to the next.
    pub displacement_head_stride: u32,
    /// From a token's `[G,P,2]` to the next token's.
    pub displacement_token_stride: u32,
    /// First element of `logits`.
    pub logit_offset: u32,
    /// From a batch item of `logits` to the next.
    pub logit_batch_stride: u32,
    /// From a head of `logits` to the next.
    pub logit_head_stride: u32,
    /// From a token's `[G,P]` to the next token's.
    pub logit_token_stride: u32,
    /// First element of `tokens`.
    pub out_offset: u32,
    /// From a batch item of `tokens` to the next.
    pub out_batch_stride: u32,
    /// From a head of `tokens` to the next.
    pub out_head_stride: u32,
    /// From a token to the next.
    pub out_token_stride: u32,
}

impl Sealed for DeformableParams {}

impl IntoParams for DeformableParams {
    type Params = kernel::DeformableParams;

    fn into_params(self) -> Self::Params {
        let of = |[offset, batch, head, token]: [u32; 4]| BoundView::new(offset, &[batch, head, token]);
        kernel::DeformableParams {
            values: of([self.v_offset, self.v_batch_stride, self.v_head_stride, self.v_token_stride]),
            displacements: of([
                self.displacement_offset,
                self.displacement_batch_stride,
                self.displacement_head_stride,
                self.displacement_token_stride,
            ]),
            logits: of([self.logit_offset, self.logit_batch_stride, self.logit_head_stride, self.logit_token_stride]),
            tokens: of([self.out_offset, self.out_batch_stride, self.out_head_stride, self.out_token_stride]),
            batch: self.batch,
            heads: self.heads,
            head_size: self.head_size,
            samples: self.samples,
            frames: self.frames,
            sub_clip: self.sub_clip,
            grid_rows: self.grid_rows,
            grid_columns: self.grid_columns,
        }
    }
}

/// Tokens of a grid. Whole sub-clips, so that a last one of fewer frames is refused as reaching beyond what is bound.
fn tokens_of_sub_clips([frames, grid_rows, grid_columns, sub_clip]: [u32; 4]) -> u32 {
    let whole = u64::from(frames).div_ceil(sub_clip.max(1).into()) * u64::from(sub_clip);
    let tokens = whole.saturating_mul(count(&[grid_rows, grid_columns]));
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Scores of deformable attention (`deformable_scores`): `logits[b,h,n,g,p] = scale * queries[b,h,n] . key` with the key of `keys[b,h]` where
/// [`DeformableParams`] has the value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeformableScoresParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Frames of the grid, a multiple of `sub_clip`.
    pub frames: u32,
    /// Patches from top to bottom.
    pub grid_rows: u32,
    /// Patches from left to right.
    pub grid_columns: u32,
    /// `G`: frames of a sub-clip.
    pub sub_clip: u32,
    /// `P`: samples in each of them.
    pub samples: u32,
    /// Elements of a query or key.
    pub head_size: u32,
    /// Factor on the products.
    pub scale: f32,
    /// First element of `queries`.
    pub q_offset: u32,
    /// From a batch item of `queries` to the next.
    pub q_batch_stride: u32,
    /// From a head of `queries` to the next.
    pub q_head_stride: u32,
    /// From a token's query to the next token's.
    pub q_token_stride: u32,
    /// First element of `keys`.
    pub k_offset: u32,
    /// From a batch item of `keys` to the next.
    pub k_batch_stride: u32,
    /// From a head of `keys` to the next.
    pub k_head_stride: u32,
    /// From a token's key to the next token's.
    pub k_token_stride: u32,
    /// First element of `displacements`.
    pub displacement_offset: u32,
    /// From a batch item of `displacements` to the next.
    pub displacement_batch_stride: u32,
    /// From a head of `displacements` to the next.
    pub displacement_head_stride: u32,
    /// From a token's `[G,P,2]` to the next token's.
    pub displacement_token_stride: u32,
    /// First element of `logits`.
    pub logit_offset: u32,
    /// From a batch item of `logits` to the next.
    pub logit_batch_stride: u32,
    /// From a head of `logits` to the next.
    pub logit_head_stride: u32,
    /// From a token's `[G,P]` to the next token's.
    pub logit_token_stride: u32,
}

impl Sealed for DeformableScoresParams {}

impl IntoParams for DeformableScoresParams {
    type Params = kernel::DeformableScoresParams;

    fn into_params(self) -> Self::Params {
        let of = |[offset, batch, head, token]: [u32; 4]| BoundView::new(offset, &[batch, head, token]);
        kernel::DeformableScoresParams {
            queries: of([self.q_offset, self.q_batch_stride, self.q_head_stride, self.q_token_stride]),
            keys: of([self.k_offset, self.k_batch_stride, self.k_head_stride, self.k_token_stride]),
            displacements: of([
                self.displacement_offset,
                self.displacement_batch_stride,
                self.displacement_head_stride,
                self.displacement_token_stride,
            ]),
            logits: of([self.logit_offset, self.logit_batch_stride, self.logit_head_stride, self.logit_token_stride]),
            batch: self.batch,
            heads: self.heads,
            head_size: self.head_size,
            samples: self.samples,
            frames: self.frames,
            sub_clip: self.sub_clip,
            grid_rows: self.grid_rows,
            grid_columns: self.grid_columns,
            scale: self.scale,
        }
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
