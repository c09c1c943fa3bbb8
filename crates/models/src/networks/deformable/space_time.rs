//! D-ST-A: each query attends to a few points in each frame of its sub-clip.

use super::layer::{LayerViews, Sizes};
use super::motion::Motion;
use super::{AttentionSpec, Grid, Logits};
use orthoformer::Result;
use orthoformer::kernel::{Activation, Deformable, DeformableScores, Linear};
use orthoformer::ops::kit::{Clips, Product, Projection, heads, projection, scale_of};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::View;

/// Where the logits of samples come from, and with which weights.
#[allow(clippy::large_enum_variant, reason = "made once a plan")]
enum Scores {
    /// An embedding of motion, logits of each head from it, and scratch `[clips,N*G,E]` for the embedded motion.
    Motion { embed: Projection, logits: Projection, embedded: View },
    /// Products of queries and keys.
    Dot,
}

/// D-ST-A in a plan, for so many clips at a time.
pub(super) struct SpaceTime {
    grid: Grid,
    heads: u64,
    samples: u32,
    /// To queries, keys where they are needed, and values.
    packing: Projection,
    /// `[H,2P,D+2]` and `[H,2P]`.
    offsets: Projection,
    scores: Scores,
    proj: Projection,
    /// Queries, keys where they are needed, and values `[clips,N,2C]` or `[clips,N,3C]`.
    packed: View,
    /// What queries alone make of offsets, `[clips,H,N,2P]`.
    by_query: View,
    /// `[clips,H,N,G,2P]`, of all clips if they are handed out.
    displaced: View,
    /// `[clips,H,N,G,P]`, likewise.
    logits: View,
    /// Whether displacements and logits are handed out.
    operands: bool,
    /// `[clips,N,C]`.
    attended: View,
}

/// Displacements and logits of samples as outputs.
pub(super) struct HandedOut {
    /// Of so many clips.
    pub clips: u64,
    /// What their names begin with.
    pub prefix: String,
}

/// Elements of one clip in the largest of its buffers.
pub(super) fn largest_of_clip(spec: &AttentionSpec, grid: Grid, channels: u64) -> u64 {
    let [tokens, sub_clip, heads, samples] = [grid.tokens(), grid.sub_clip, spec.heads, spec.samples].map(u64::from);
    let pairs = tokens * sub_clip;
    let embedded = match spec.logits {
        Logits::Motion { hidden } => pairs * u64::from(hidden),
        Logits::Dot => 0,
    };
    (pairs * heads * 2 * samples).max(embedded).max(tokens * 3 * channels)
}

impl SpaceTime {
    /// Adds weights and scratch.
    pub fn new(builder: &mut PlanBuilder, sizes: Sizes, handed_out: Option<HandedOut>) -> Result<Self> {
        let Sizes { spec, grid, channels: c, clips } = sizes;
        let [heads, samples, tokens, frames] = [spec.heads, spec.samples, grid.tokens(), grid.sub_clip].map(u64::from);
        let (name, parts) = if spec.logits == Logits::Dot { ("qkv", 3) } else { ("qv", 2) };
        let packing = projection(builder, name, parts * c, c, spec.qkv_bias)?;
        let weight = builder.array("offsets.weight", &[heads, 2 * samples, c / heads + 2], Role::Input)?;
        let bias = builder.array("offsets.bias", &[heads, 2 * samples], Role::Input)?;
        let offsets = Projection { weight, bias: Some(bias) };
        let scores = match spec.logits {
            Logits::Dot => Scores::Dot,
            Logits::Motion { hidden } => Scores::Motion {
                embed: projection(builder, "motion", hidden.into(), 2, true)?,
                logits: projection(builder, "logits", heads * samples, hidden.into(), true)?,
                embedded: builder.array("embedded motion", &[clips, tokens * frames, hidden.into()], Role::Scratch)?,
            },
        };
        let proj = projection(builder, "proj", c, c, true)?;
        let packed = builder.array("packed qkv", &[clips, tokens, parts * c], Role::Scratch)?;
        let attended = builder.array("attended", &[clips, tokens, c], Role::Scratch)?;
        let by_query = builder.array("offsets by query", &[clips, heads, tokens, 2 * samples], Role::Scratch)?;
        let operands = handed_out.is_some();
        let role = if operands { Role::Output } else { Role::Scratch };
        let HandedOut { clips, prefix } = handed_out.unwrap_or(HandedOut { clips, prefix: String::new() });
        let mut of_samples =
            |name, width| builder.array(&format!("{prefix}{name}"), &[clips, heads, tokens, frames, width], role.clone());
        let displaced = of_samples("displacements", 2 * samples)?;
        let logits = of_samples("sample_logits", samples)?;
        builder.keep_exact(&[by_query.buffer()])?;
        Ok(Self {
            grid,
            heads,
            samples: spec.samples,
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

    /// Appends the attention of these clips, which `views` have.
    pub fn push(&self, builder: &mut PlanBuilder, motion: &Motion, clips: Clips, views: LayerViews) -> Result<()> {
        let LayerViews { x, y, residual } = views;
        Product::new("queries and values", self.packing).push(builder, x, clips.of_scratch(self.packed))?;
        self.push_offsets(builder, motion, clips)?;
        match &self.scores {
            Scores::Motion { embed, logits, embedded } => {
                let embed = Product { activation: Some(Activation::Gelu), ..Product::new("embedded motion", *embed) };
                let embedded = clips.of_scratch(*embedded);
                embed.push(builder, motion.moved(clips).join(1), embedded)?;
                self.push_logits(builder, clips, *logits, embedded)?;
            }
            Scores::Dot => self.push_scores(builder, clips)?,
        }
        self.push_samples(builder, clips)?;
        let attended = clips.of_scratch(self.attended);
        Product { residual, ..Product::new("proj", self.proj) }.push(builder, attended, y)?;
        let mut used = vec![self.packed, self.attended, self.by_query, self.displaced, self.logits];
        if let Scores::Motion { embedded, .. } = &self.scores {
            used.push(*embedded);
        }
        builder.release(&used.iter().map(View::buffer).collect::<Vec<_>>())
    }

    /// One of the parts of what is packed, by heads: `[clips,H,N,D]`.
    fn part(&self, clips: Clips, number: u64) -> View {
        let channels = self.attended.size(2);
        heads(clips.of_scratch(self.packed).part(2, number * channels, channels), self.heads)
    }

    fn queries(&self, clips: Clips) -> View {
        self.part(clips, 0)
    }

    /// Where they are needed.
    fn keys(&self, clips: Clips) -> View {
        self.part(clips, 1)
    }

    fn values(&self, clips: Clips) -> View {
        // The last part of two or three.
        self.part(clips, self.packed.size(2) / self.attended.size(2) - 1)
    }

    /// The clips at hand of displacements or logits: scratch has no others, an output all.
    fn of_clips(&self, view: View, clips: Clips) -> View {
        if self.operands { clips.of(view) } else { clips.of_scratch(view) }
    }

    /// `displacement[g,p] = motion[g] + W_q q + W_m motion[g] + b`. The part of the queries is the same in all frames: it becomes the bias of the others.
    fn push_offsets(&self, builder: &mut PlanBuilder, motion: &Motion, clips: Clips) -> Result<()> {
        let (queries, by_query) = (self.queries(clips), clips.of_scratch(self.by_query));
        let Projection { weight, bias } = self.offsets;
        let size = queries.size(3);
        let of_queries = Linear::new(queries, weight.part(2, 0, size), by_query);
        let bias = bias.map(|bias| bias.with_axis(1, 1));
        builder.launch("offsets by query", Linear { bias, ..of_queries })?;
        let displaced = self.of_clips(self.displaced, clips);
        for frame in 0..self.grid.sub_clip.into() {
            // All heads have the same motion.
            let of_frame = |view: View| view.index(2, frame).with_axis(1, 1);
            let moved = of_frame(motion.moved(clips));
            let of_motion = Linear::new(moved, weight.part(2, size, 2), displaced.index(3, frame));
            let (bias, residual) = (Some(by_query), Some(of_frame(motion.repeated(clips))));
            builder.launch("displacements", Linear { bias, residual, ..of_motion })?;
        }
        Ok(())
    }

    /// Logits of all samples from embedded motion `[clips,N*G,E]`, which all heads have in common.
    fn push_logits(&self, builder: &mut PlanBuilder, clips: Clips, by: Projection, embedded: View) -> Result<()> {
        let of_heads = |learned: View| learned.split(0, self.samples.into());
        let bias = by.bias.map(|bias| of_heads(bias).with_axis(1, 1));
        let logits = self.of_clips(self.logits, clips).join(2);
        let product = Linear::new(embedded.with_axis(1, 1), of_heads(by.weight), logits);
        builder.launch("logits of motion", Linear { bias, ..product })
    }

    /// Logits of all samples from queries and keys.
    fn push_scores(&self, builder: &mut PlanBuilder, clips: Clips) -> Result<()> {
        let queries = self.queries(clips);
        let request = DeformableScores {
            queries,
            keys: self.keys(clips),
            displacements: self.of_clips(self.displaced, clips).join(3),
            logits: self.of_clips(self.logits, clips).join(3),
            samples: self.samples,
            frames: self.grid.frames,
            sub_clip: self.grid.sub_clip,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
            scale: scale_of(queries.size(3)),
        };
        builder.launch("logits of samples", request)
    }

    fn push_samples(&self, builder: &mut PlanBuilder, clips: Clips) -> Result<()> {
        let request = Deformable {
            values: self.values(clips),
            displacements: self.of_clips(self.displaced, clips).join(3),
            logits: self.of_clips(self.logits, clips).join(3),
            tokens: heads(clips.of_scratch(self.attended), self.heads),
            samples: self.samples,
            frames: self.grid.frames,
            sub_clip: self.grid.sub_clip,
            grid_rows: self.grid.rows,
            grid_columns: self.grid.columns,
        };
        builder.launch("samples", request)
    }
}
