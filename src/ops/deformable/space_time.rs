//! D-ST-A: each query attends to a few points in each frame of its sub-clip.

use super::super::dense::{Projection, projection};
use super::super::tokens::{Product, Tokens};
use super::motion::Motion;
use super::{AttentionSpec, Grid, Logits};
use crate::error::Result;
use crate::params::{Activation, DeformableParams, DeformableScoresParams, LinearParams};
use crate::plan::{Binding, BufferId, PlanBuilder, Role};

/// Where the logits of samples come from, and with which weights.
enum Scores {
    /// An embedding of motion, logits of each head from it, and scratch for the embedded motion.
    Motion { embed: Projection, logits: Projection, embedded: Tokens },
    /// Products of queries and keys.
    Dot,
}

/// D-ST-A in a plan, for so many clips at a time.
pub(super) struct SpaceTime {
    grid: Grid,
    heads: u32,
    head_size: u32,
    samples: u32,
    /// To queries, keys where they are needed, and values.
    packing: Projection,
    offsets: Projection,
    scores: Scores,
    proj: Projection,
    packed: Tokens,
    /// What queries alone make of offsets, `[items,H,N,2P]`.
    by_query: BufferId,
    /// `[items,H,N,G,2P]`, or of all clips if they are handed out.
    displaced: BufferId,
    /// `[items,H,N,G,P]`, likewise.
    logits: BufferId,
    /// Whether displacements and logits are handed out.
    operands: bool,
    attended: Tokens,
}

/// Displacements and logits of samples as outputs.
pub(super) struct HandedOut {
    /// Of so many clips.
    pub clips: u32,
    /// What their names begin with.
    pub prefix: String,
}

/// Numbers of one clip in the largest of its buffers.
pub(super) fn largest_of_clip(spec: &AttentionSpec, grid: Grid, channels: u32) -> u64 {
    let pairs = u64::from(grid.tokens()) * u64::from(grid.sub_clip);
    let embedded = match spec.logits {
        Logits::Motion { hidden } => pairs * u64::from(hidden),
        Logits::Dot => 0,
    };
    let displaced = pairs * u64::from(spec.heads) * u64::from(2 * spec.samples);
    displaced.max(embedded).max(u64::from(grid.tokens()) * 3 * u64::from(channels))
}

impl SpaceTime {
    /// Adds weights and scratch, the latter for `items` clips.
    pub fn new(
        builder: &mut PlanBuilder,
        (spec, grid): (&AttentionSpec, Grid),
        [channels, items]: [u32; 2],
        handed_out: Option<HandedOut>,
    ) -> Result<Self> {
        let (heads, samples, c) = (spec.heads, spec.samples, u64::from(channels));
        let (head_size, tokens) = (channels / heads, grid.tokens());
        let (name, parts) = if spec.logits == Logits::Dot { ("qkv", 3) } else { ("qv", 2) };
        let packing = projection(builder, name, u64::from(parts) * c, c, spec.qkv_bias)?;
        let of_heads = [heads, 2 * samples, head_size + 2].map(u64::from);
        let [weight, bias] = [("offsets.weight", &of_heads[..]), ("offsets.bias", &of_heads[..2])]
            .map(|(name, shape)| builder.buffer(name, shape, Role::Input));
        let offsets = Projection { weight: builder.bind_all(weight?)?, bias: Some(builder.bind_all(bias?)?) };
        let scores = match spec.logits {
            Logits::Dot => Scores::Dot,
            Logits::Motion { hidden } => Scores::Motion {
                embed: projection(builder, "motion", hidden.into(), 2, true)?,
                logits: projection(builder, "logits", u64::from(heads) * u64::from(samples), hidden.into(), true)?,
                embedded: Tokens::new(builder, "embedded motion", [items, tokens * grid.sub_clip, hidden], Role::Scratch)?,
            },
        };
        let proj = projection(builder, "proj", c, c, true)?;
        let packed = Tokens::new(builder, "packed qkv", [items, tokens, parts * channels], Role::Scratch)?;
        let attended = Tokens::new(builder, "attended", [items, tokens, channels], Role::Scratch)?;
        let mut of_tokens = |name: &str, clips: Option<u32>, inner: &[u32]| {
            let shape: Vec<u64> = [clips.unwrap_or(items), heads, tokens].iter().chain(inner).map(|&size| size.into()).collect();
            builder.buffer(name, &shape, if clips.is_some() { Role::Output } else { Role::Scratch })
        };
        let by_query = of_tokens("offsets by query", None, &[2 * samples])?;
        let operands = handed_out.is_some();
        let (clips, prefix) = handed_out.map_or((None, String::new()), |out| (Some(out.clips), out.prefix));
        let displaced = of_tokens(&format!("{prefix}displacements"), clips, &[grid.sub_clip, 2 * samples])?;
        let logits = of_tokens(&format!("{prefix}sample_logits"), clips, &[grid.sub_clip, samples])?;
        builder.keep_exact(&[by_query])?;
        Ok(Self {
            grid,
            heads,
            head_size,
            samples,
            packing,
            offsets,
            scores,
            proj,
            packed,
            by_query,
            displaced,
            logits,
            operands,
            attended,
        })
    }

    /// Attention of the clips `first .. first + items`, which `x`, `y` and `residual` have.
    pub fn push(
        &self,
        builder: &mut PlanBuilder,
        motion: &Motion,
        (first, items): (u32, u32),
        [x, y]: [Tokens; 2],
        residual: Option<Tokens>,
    ) -> Result<()> {
        let [packed, attended] = [self.packed, self.attended].map(|tokens| tokens.batch_items(0, items));
        Product::new("queries and values", self.packing).push(builder, x, packed)?;
        self.push_offsets(builder, motion, (first, items))?;
        self.push_logits(builder, motion, (first, items))?;
        self.push_samples(builder, (first, items))?;
        Product { residual, ..Product::new("proj", self.proj) }.push(builder, attended, y)?;
        let mut used = vec![self.packed.buffer, self.attended.buffer, self.by_query, self.displaced, self.logits];
        if let Scores::Motion { embedded, .. } = &self.scores {
            used.push(embedded.buffer);
        }
        builder.release(&used)
    }

    /// Numbers of a head of a clip in a buffer `[items,H,N,row]`, for its strides.
    fn of_head(&self, row: u32) -> u32 {
        self.grid.tokens() * row
    }

    /// Binds as much of a buffer `[items,H,N,row]` as so many clips need, and where they begin in that: scratch has the clips at hand, an output all of them.
    fn bind(&self, builder: &PlanBuilder, buffer: BufferId, (first, items): (u32, u32), row: u32) -> Result<(Binding, u32)> {
        let clip = u64::from(self.of_head(row)) * u64::from(self.heads);
        let first = if self.operands && buffer != self.by_query { u64::from(first) * clip } else { 0 };
        builder.bind(buffer, first, clip * u64::from(items))
    }

    /// `displacement[g,p] = motion[g] + W_q q + W_m motion[g] + b`. The part of the queries is the same in all frames: it becomes the bias of the others.
    fn push_offsets(&self, builder: &mut PlanBuilder, motion: &Motion, slice: (u32, u32)) -> Result<()> {
        let (heads, tokens, frames, size) = (self.heads, self.grid.tokens(), self.grid.sub_clip, self.head_size);
        let (row, all) = (2 * self.samples, 2 * self.samples * frames);
        let Projection { weight, bias } = self.offsets;
        let packed = self.packed.batch_items(0, slice.1).rows(builder)?;
        let (by_query, _) = self.bind(builder, self.by_query, slice, row)?;
        let (displaced, displaced_offset) = self.bind(builder, self.displaced, slice, all)?;
        let [(moved, moved_offset), (repeated, repeated_offset)] = motion.bind(builder, slice)?;
        let either = LinearParams {
            batch: slice.1,
            groups: heads,
            rows: tokens,
            outputs: row,
            has_bias: 1,
            w_group_stride: row * (size + 2),
            w_output_stride: size + 2,
            ..LinearParams::plain()
        };
        let of_queries = LinearParams {
            inputs: size,
            x_offset: packed.offset,
            x_batch_stride: packed.batch_stride,
            x_group_stride: size,
            x_row_stride: packed.row_stride,
            bias_group_stride: row,
            y_batch_stride: heads * self.of_head(row),
            y_group_stride: self.of_head(row),
            y_row_stride: row,
            ..either
        };
        builder.push("offsets by query", of_queries, &[packed.binding, weight, bias.unwrap_or(weight), weight, by_query])?;
        for frame in 0..frames {
            let of_motion = LinearParams {
                inputs: 2,
                x_offset: moved_offset + 2 * frame,
                x_batch_stride: tokens * frames * 2,
                x_row_stride: frames * 2,
                w_offset: size,
                bias_batch_stride: of_queries.y_batch_stride,
                bias_group_stride: of_queries.y_group_stride,
                bias_row_stride: row,
                has_residual: 1,
                residual_offset: repeated_offset + frame * row,
                residual_batch_stride: self.of_head(all),
                residual_row_stride: all,
                y_offset: displaced_offset + frame * row,
                y_batch_stride: heads * self.of_head(all),
                y_group_stride: self.of_head(all),
                y_row_stride: all,
                ..either
            };
            builder.push("displacements", of_motion, &[moved, weight, by_query, repeated, displaced])?;
        }
        Ok(())
    }

    /// Logits of all samples: from motion, or of queries and keys.
    fn push_logits(&self, builder: &mut PlanBuilder, motion: &Motion, slice: (u32, u32)) -> Result<()> {
        let (heads, tokens, frames, samples) = (self.heads, self.grid.tokens(), self.grid.sub_clip, self.samples);
        let (to, y_offset) = self.bind(builder, self.logits, slice, frames * samples)?;
        let head = self.of_head(frames * samples);
        let Scores::Motion { embed, logits, embedded } = &self.scores else { return self.push_products(builder, slice) };
        let embedded = embedded.batch_items(0, slice.1);
        let embed = Product { activation: Some(Activation::Gelu), ..Product::new("embedded motion", *embed) };
        embed.push(builder, motion.tokens(slice), embedded)?;
        let from = embedded.rows(builder)?;
        let params = LinearParams {
            batch: slice.1,
            groups: heads,
            rows: tokens * frames,
            inputs: embedded.size,
            outputs: samples,
            has_bias: 1,
            x_offset: from.offset,
            x_batch_stride: from.batch_stride,
            x_row_stride: from.row_stride,
            w_group_stride: samples * embedded.size,
            w_output_stride: embedded.size,
            bias_group_stride: samples,
            y_offset,
            y_batch_stride: heads * head,
            y_group_stride: head,
            y_row_stride: samples,
            ..LinearParams::plain()
        };
        let bias = logits.bias.unwrap_or(logits.weight);
        builder.push("logits of motion", params, &[from.binding, logits.weight, bias, logits.weight, to])
    }

    fn push_products(&self, builder: &mut PlanBuilder, slice: (u32, u32)) -> Result<()> {
        let samples = self.grid.sub_clip * self.samples;
        let items = slice.1;
        let packed = self.packed.batch_items(0, items).rows(builder)?;
        let (displaced, displacement_offset) = self.bind(builder, self.displaced, slice, 2 * samples)?;
        let (to, logit_offset) = self.bind(builder, self.logits, slice, samples)?;
        let params = DeformableScoresParams {
            batch: items,
            heads: self.heads,
            frames: self.grid.frames,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            sub_clip: self.grid.sub_clip,
            samples: self.samples,
            head_size: self.head_size,
            scale: (1.0 / f64::from(self.head_size).sqrt()) as f32,
            q_offset: packed.offset,
            q_batch_stride: packed.batch_stride,
            q_head_stride: self.head_size,
            q_token_stride: packed.row_stride,
            k_offset: packed.offset + self.heads * self.head_size,
            k_batch_stride: packed.batch_stride,
            k_head_stride: self.head_size,
            k_token_stride: packed.row_stride,
            displacement_offset,
            displacement_batch_stride: self.heads * self.of_head(2 * samples),
            displacement_head_stride: self.of_head(2 * samples),
            displacement_token_stride: 2 * samples,
            logit_offset,
            logit_batch_stride: self.heads * self.of_head(samples),
            logit_head_stride: self.of_head(samples),
            logit_token_stride: samples,
        };
        builder.push("logits of samples", params, &[packed.binding, packed.binding, displaced, to])
    }

    fn push_samples(&self, builder: &mut PlanBuilder, slice: (u32, u32)) -> Result<()> {
        let (samples, channels) = (self.grid.sub_clip * self.samples, self.heads * self.head_size);
        let items = slice.1;
        let packed = self.packed.batch_items(0, items).rows(builder)?;
        let attended = self.attended.batch_items(0, items).rows(builder)?;
        let (displaced, displacement_offset) = self.bind(builder, self.displaced, slice, 2 * samples)?;
        let (logits, logit_offset) = self.bind(builder, self.logits, slice, samples)?;
        let params = DeformableParams {
            batch: items,
            heads: self.heads,
            frames: self.grid.frames,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            sub_clip: self.grid.sub_clip,
            samples: self.samples,
            head_size: self.head_size,
            // Values are the last part of what is packed.
            v_offset: packed.offset + packed.row_stride - channels,
            v_batch_stride: packed.batch_stride,
            v_head_stride: self.head_size,
            v_token_stride: packed.row_stride,
            displacement_offset,
            displacement_batch_stride: self.heads * self.of_head(2 * samples),
            displacement_head_stride: self.of_head(2 * samples),
            displacement_token_stride: 2 * samples,
            logit_offset,
            logit_batch_stride: self.heads * self.of_head(samples),
            logit_head_stride: self.of_head(samples),
            logit_token_stride: samples,
            out_offset: attended.offset,
            out_batch_stride: attended.batch_stride,
            out_head_stride: self.head_size,
            out_token_stride: attended.row_stride,
        };
        builder.push("samples", params, &[packed.binding, displaced, logits, attended.binding])
    }
}
