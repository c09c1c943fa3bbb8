//! Motion of patches, on the grid of each scale.

use super::super::dense::Projection;
use super::super::motionformer::CHANNELS;
use super::super::tokens::{Product, Tokens, items_at_once, parts};
use super::{Architecture, AttentionSpec, Grid, MotionSource};
use crate::error::Result;
use crate::params::{CoarseMotionParams, MatchBlocksParams};
use crate::plan::{Binding, BufferId, PlanBuilder, Role};

/// Motion on a grid, as samples need it.
pub(super) struct Motion {
    pub grid: Grid,
    /// (dx, dy) of each token to each frame of its sub-clip, `[B,N,G,2]`.
    moved: BufferId,
    /// The same, once for each sample of a frame, `[B,N,G,2P]`: added to what the network learned.
    repeated: BufferId,
    samples: u32,
}

impl Motion {
    /// Motion at each scale of `spec`, from that of the patches of `batch` clips.
    pub fn of_scales(
        builder: &mut PlanBuilder,
        spec: &AttentionSpec,
        (moved, grid): (BufferId, Grid),
        batch: u32,
    ) -> Result<Vec<Self>> {
        let strides = spec.scales.as_ref().map_or_else(|| vec![[1; 3]], |scales| scales.strides.clone());
        let ones = (0..2 * spec.samples).flat_map(|row| [1 - row % 2, row % 2].map(|one| (one as f32).to_bits()));
        let shape = [2 * u64::from(spec.samples), 2];
        let ones = builder.buffer("a motion for each sample", &shape, Role::Constant(ones.collect()))?;
        let repeat = Product::new("motion for each sample", Projection { weight: builder.bind_all(ones)?, bias: None });
        let mut motions = Vec::new();
        for (strides, own) in strides.into_iter().zip(spec.grids(grid)?) {
            let moved = if strides == [1; 3] { moved } else { coarser(builder, moved, (own, strides), batch)? };
            let rows = own.tokens() * own.sub_clip;
            let repeated = Tokens::new(builder, "motion of samples", [batch, rows, 2 * spec.samples], Role::Scratch)?;
            // A place that is off by a hundredth of a patch has other values.
            builder.keep_exact(&[repeated.buffer])?;
            repeat.push(builder, Tokens::all(moved, [batch, rows, 2]), repeated)?;
            motions.push(Self { grid: own, moved, repeated: repeated.buffer, samples: spec.samples });
        }
        Ok(motions)
    }

    /// The motion of some clips as rows of two numbers, one for each token and frame of its sub-clip.
    pub fn tokens(&self, (first, items): (u32, u32)) -> Tokens {
        let rows = self.grid.tokens() * self.grid.sub_clip;
        Tokens::all(self.moved, [first + items, rows, 2]).batch_items(first, items)
    }

    /// The motion of some clips and, in a row for each token, that of their samples.
    pub fn bind(&self, builder: &PlanBuilder, (first, items): (u32, u32)) -> Result<[(Binding, u32); 2]> {
        let bind = |buffer, numbers: u32| {
            let item = u64::from(self.grid.tokens()) * u64::from(self.grid.sub_clip) * u64::from(numbers);
            builder.bind(buffer, u64::from(first) * item, u64::from(items) * item)
        };
        Ok([bind(self.moved, 2)?, bind(self.repeated, 2 * self.samples)?])
    }
}

fn axes(grid: Grid, batch: u32) -> [u64; 6] {
    [batch, grid.frames, grid.rows, grid.columns, grid.sub_clip, 2].map(u64::from)
}

/// The input `motion [B,F,Y,X,G,2]`.
pub(super) fn given(builder: &mut PlanBuilder, grid: Grid, batch: u32) -> Result<BufferId> {
    let given = builder.buffer("motion", &axes(grid, batch), Role::Input)?;
    builder.keep_exact(&[given])?;
    Ok(given)
}

/// The motion of the patches of `batch` clips, wherever it comes from.
pub(super) fn of_clips(builder: &mut PlanBuilder, a: &Architecture, clip: BufferId, batch: u32) -> Result<BufferId> {
    let grid = a.grid()?;
    let MotionSource::Blocks { radius, mean, deviation } = a.motion else { return given(builder, grid, batch) };
    let moved = builder.buffer("motion by blocks", &axes(grid, batch), Role::Scratch)?;
    let clip_item = [CHANNELS, a.frames, a.crop, a.crop].map(u64::from).iter().product::<u64>();
    let item = u64::from(grid.tokens()) * u64::from(grid.sub_clip) * 2;
    let [red_scale, green_scale, blue_scale] = deviation.map(|deviation| deviation * 255.0);
    // A little more, so that halves and quarters, which pixels of frames of another size are full of, do not lie where rounding turns.
    let [red_shift, green_shift, blue_shift] = mean.map(|mean| mean * 255.0 + 1.0 / 32.0);
    for (first, items) in parts(batch, items_at_once(builder.limits(), batch, clip_item)) {
        let (clip, clip_offset) = builder.bind(clip, u64::from(first) * clip_item, u64::from(items) * clip_item)?;
        let (to, motion_offset) = builder.bind(moved, u64::from(first) * item, u64::from(items) * item)?;
        let params = MatchBlocksParams {
            batch: items,
            channels: CHANNELS,
            frames: grid.frames,
            grid_rows: grid.rows,
            grid_columns: grid.columns,
            depth: a.patch_depth,
            side: a.patch,
            sub_clip: grid.sub_clip,
            radius,
            clip_offset,
            motion_offset,
            red_scale,
            green_scale,
            blue_scale,
            red_shift,
            green_shift,
            blue_shift,
        };
        builder.push("motion by blocks", params, &[clip, to])?;
    }
    Ok(moved)
}

/// Motion on the grid of a scale.
fn coarser(builder: &mut PlanBuilder, moved: BufferId, (grid, strides): (Grid, [u32; 3]), batch: u32) -> Result<BufferId> {
    let [depth, height, width] = strides;
    let coarse = builder.buffer("motion of a scale", &axes(grid, batch), Role::Scratch)?;
    let params = CoarseMotionParams {
        batch,
        frames: grid.frames,
        grid_rows: grid.rows,
        grid_columns: grid.columns,
        sub_clip: grid.sub_clip,
        depth,
        height,
        width,
        motion_offset: 0,
        coarse_offset: 0,
    };
    builder.push("motion of a scale", params, &[builder.bind_all(moved)?, builder.bind_all(coarse)?])?;
    Ok(coarse)
}
