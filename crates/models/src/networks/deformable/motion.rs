//! Motion of patches, on the grid of each scale.

use super::{Architecture, AttentionSpec, Grid, MotionSource};
use orthoformer::Result;
use orthoformer::kernel::{CoarseMotion, MatchBlocks};
use orthoformer::ops::kit::{Budget, Clips, Product, Projection};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::View;

/// Motion on a grid, as samples need it.
pub(super) struct Motion {
    /// (dx, dy) of each token to each frame of its sub-clip, `[B,N,G,2]`.
    moved: View,
    /// The same, once for each sample of a frame, `[B,N,G,2P]`: added to what the network learned.
    repeated: View,
}

impl Motion {
    /// Motion at each scale of `spec`, from that of the patches, `moved [B,F,Y,X,G,2]`.
    pub fn of_scales(builder: &mut PlanBuilder, spec: &AttentionSpec, grid: Grid, moved: View) -> Result<Vec<Self>> {
        let strides = spec.scales.as_ref().map_or_else(|| vec![[1; 3]], |scales| scales.strides.clone());
        let columns = 2 * u64::from(spec.samples);
        let ones = (0..columns).flat_map(|row| [1 - row % 2, row % 2].map(|one| (one as f32).to_bits()));
        let ones = builder.array("a motion for each sample", &[columns, 2], Role::Constant(ones.collect()))?;
        let repeat = Product::new("motion for each sample", Projection { weight: ones, bias: None });
        let mut motions = Vec::new();
        for (strides, own) in strides.into_iter().zip(spec.grids(grid)?) {
            let moved = if strides == [1; 3] { moved } else { coarser(builder, moved, own, strides)? };
            // Positions in one axis: tokens.
            let moved = moved.join(1).join(1);
            let pairs = moved.join(1);
            let axes = [pairs.size(0), pairs.size(1), columns];
            let repeated = builder.array("motion of samples", &axes, Role::Scratch)?;
            // A position that is off by a hundredth of a patch has other values.
            builder.keep_exact(&[repeated.buffer()])?;
            repeat.push(builder, pairs, repeated)?;
            motions.push(Self { moved, repeated: repeated.split(1, own.sub_clip.into()) });
        }
        Ok(motions)
    }

    /// The motion of some clips, `[clips,N,G,2]`.
    pub fn moved(&self, clips: Clips) -> View {
        clips.of(self.moved)
    }

    /// That of their samples, `[clips,N,G,2P]`.
    pub fn repeated(&self, clips: Clips) -> View {
        clips.of(self.repeated)
    }
}

/// `[B,F,Y,X,G,2]`.
fn axes(grid: Grid, batch: u64) -> [u64; 6] {
    let [frames, rows, columns] = grid.sides();
    [batch, frames, rows, columns, grid.sub_clip.into(), 2]
}

/// Every `step`-th along an axis.
fn every(step: u32, view: View, axis: usize) -> View {
    let step = u64::from(step.max(1));
    view.with_stride(axis, view.stride(axis).saturating_mul(step)).part(axis, 0, view.size(axis) / step)
}

/// The input `motion [B,F,Y,X,G,2]`.
pub(super) fn given(builder: &mut PlanBuilder, grid: Grid, batch: u64) -> Result<View> {
    let given = builder.array("motion", &axes(grid, batch), Role::Input)?;
    builder.keep_exact(&[given.buffer()])?;
    Ok(given)
}

/// The motion `[B,F,Y,X,G,2]` of the patches of clips `[B,3,T,S,S]`, wherever it comes from.
pub(super) fn of_clips(builder: &mut PlanBuilder, a: &Architecture, clip: View) -> Result<View> {
    let (grid, batch) = (a.grid()?, clip.size(0));
    let MotionSource::Blocks { radius, mean, deviation } = a.motion else { return given(builder, grid, batch) };
    let moved = builder.array("motion by blocks", &axes(grid, batch), Role::Scratch)?;
    let [red_scale, green_scale, blue_scale] = deviation.map(|deviation| deviation * 255.0);
    // A little more, so that halves and quarters, which pixels of frames of another size are full of, do not lie where rounding turns.
    let [red_shift, green_shift, blue_shift] = mean.map(|mean| mean * 255.0 + 1.0 / 32.0);
    let together = Budget::of_scratch(builder.limits()).items(clip.stride(0), batch);
    for clips in Clips::parts(batch, together) {
        let request = MatchBlocks {
            // Of each patch's frames the first.
            clip: every(a.patch_depth, clips.of(clip), 2),
            motion: clips.of(moved),
            side: a.patch,
            radius,
            red_scale,
            green_scale,
            blue_scale,
            red_shift,
            green_shift,
            blue_shift,
        };
        builder.launch("motion by blocks", request)?;
    }
    Ok(moved)
}

/// Motion on the grid of a scale with these strides along time, from top to bottom and from left to right.
fn coarser(builder: &mut PlanBuilder, moved: View, grid: Grid, [depth, height, width]: [u32; 3]) -> Result<View> {
    let coarse = builder.array("motion of a scale", &axes(grid, moved.size(0)), Role::Scratch)?;
    // Of the frames that a position covers the first, and of those of a sub-clip.
    let motion = every(depth, every(depth, moved, 1), 4);
    builder.launch("motion of a scale", CoarseMotion { motion, coarse, height, width })?;
    Ok(coarse)
}
