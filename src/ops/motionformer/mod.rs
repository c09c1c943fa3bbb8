//! Motionformer: a clip in, logits out (Patrick et al., NeurIPS 2021; the published code's `VisionTransformer`).
//!
//! ```text
//! x_0     = [class token; cuboids W_e' + b_e] + positions
//! x'_i    = x_i + attention_i(LN(x_i))          (divided: first time, then space)
//! x_{i+1} = x'_i + W_2' gelu(W_1' LN(x'_i) + b_1) + b_2
//! pre_logits = act(W_p' LN(x_L)[class] + b_p),  logits_h = W_h' pre_logits + b_h
//! ```
//!
//! Inputs: `clip [B,3,T,S,S]`, normalised; `positions [1+N, C]`, which holds what is added to every token: the class token and its position
//! in row 0, the embedding's bias and the patch's position in the others ([`crate::model`] makes it of the published tensors); all other
//! weights under their published names. Outputs: what [`NetworkOutputs`] asks for.
//!
//! Where only logits are wanted, the last block computes no more than they need: keys and values of all tokens, but queries, attention and MLP
//! of the class token alone, as patches are not looked at afterwards.

mod blocks;
mod spec;

pub use spec::{Architecture, BlockAttention, Features, Head, MotionformerSpec, NetworkOutputs, TrajectoryOutputs};

use super::dense::{Dense, Projection, Rows, projection};
use crate::error::Result;
use crate::params::{CuboidsParams, LayerNormParams};
use crate::plan::{BufferId, ELEMENT_BYTES, Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::Shape;
use blocks::push_block;

/// The published networks' layer normalisations add this to the variance.
const EPSILON: f32 = 1e-6;
/// Channels of a clip: red, green, blue.
pub const CHANNELS: u32 = 3;

/// Plans a network.
///
/// # Errors
/// Those of [`MotionformerSpec::shape`] and [`super::layer::plan`]; [`crate::Error::OutOfRange`] for layers that there are not.
pub fn plan(spec: &MotionformerSpec, limits: PlanLimits) -> Result<Plan> {
    let shape = spec.shape()?;
    spec.check()?;
    let mut network = NetworkPlan::new(spec, shape, limits)?;
    network.embed()?;
    let last = spec.last_block();
    for block in 0..=last {
        push_block(&mut network, block)?;
    }
    network.finish()?;
    Ok(network.builder.build())
}

/// A network being planned.
pub(super) struct NetworkPlan<'s> {
    spec: &'s MotionformerSpec,
    shape: Shape,
    builder: PlanBuilder,
    /// `1 + N`.
    sequence: u32,
    /// The tokens `[B, 1+N, C]`, after what has been planned so far.
    stream: BufferId,
    /// The two buffers that take turns in holding them, unless they are handed out.
    turns: [BufferId; 2],
    /// Tokens brought to mean zero and variance one `[B, 1+N, C]`.
    normed: BufferId,
    /// Inside of the MLP, `[items, 1+N, hidden]`.
    hidden: BufferId,
    /// Batch items that go through the embedding and the MLP together.
    items: u32,
}

impl<'s> NetworkPlan<'s> {
    fn new(spec: &'s MotionformerSpec, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let sequence = shape.tokens() + 1;
        let axes = [shape.batch(), sequence, shape.channels()].map(u64::from);
        let wide = u64::from(spec.architecture.hidden.max(spec.architecture.cuboid_numbers()));
        let scratch = limits.scratch_bytes.min(limits.binding_bytes) / ELEMENT_BYTES;
        let items = (scratch / (u64::from(sequence) * wide)).clamp(1, shape.batch().into()) as u32;
        let stream = builder.buffer("tokens", &axes, Role::Scratch)?;
        let in_turn = builder.buffer("tokens in turn", &axes, Role::Scratch)?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream, in_turn])?;
        let normed = builder.buffer("normed tokens", &axes, Role::Scratch)?;
        let hidden =
            builder.buffer("inside of the mlp", &[items.into(), axes[1], spec.architecture.hidden.into()], Role::Scratch)?;
        Ok(Self { spec, shape, builder, sequence, stream, turns: [stream, in_turn], normed, hidden, items })
    }

    /// Where the tokens go next: one of the two buffers that they are not in.
    fn target(&self) -> BufferId {
        let [first, second] = self.turns;
        if self.stream == first { second } else { first }
    }

    /// `[B, 1+N, C]`.
    fn axes(&self) -> [u64; 3] {
        [self.shape.batch(), self.sequence, self.shape.channels()].map(u64::from)
    }

    /// The batch items `first .. first + items` of a buffer `[B, rows, C]`.
    fn rows_of(&self, buffer: BufferId, rows: u32, (first, items): (u32, u32)) -> Result<Rows> {
        let c = self.shape.channels();
        let item = u64::from(rows) * u64::from(c);
        let (binding, offset) = self.builder.bind(buffer, u64::from(first) * item, u64::from(items) * item)?;
        Ok(Rows { binding, offset, batch_stride: rows * c, row_stride: c })
    }

    /// The same of a buffer of all tokens.
    fn tokens(&self, buffer: BufferId, slice: (u32, u32)) -> Result<Rows> {
        self.rows_of(buffer, self.sequence, slice)
    }

    /// The first batch item and the number of each slice.
    fn slices(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (batch, items) = (self.shape.batch(), self.items);
        (0..batch).step_by(items as usize).map(move |first| (first, items.min(batch - first)))
    }

    /// Cuboids, their embedding, and positions: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = &self.spec.architecture;
        let (numbers, c, side) = (a.cuboid_numbers(), self.shape.channels(), a.crop / a.patch);
        let clip_axes = [self.shape.batch(), CHANNELS, a.frames, a.crop, a.crop].map(u64::from);
        let clip = self.builder.buffer("clip", &clip_axes, Role::Input)?;
        let kernel = [c, CHANNELS, a.patch_depth, a.patch, a.patch].map(u64::from);
        let flat = [kernel[0], kernel[1], kernel[3], kernel[4]];
        let kernel: &[u64] = if a.patch_depth == 1 { &flat } else { &kernel };
        let weight = self.builder.buffer(&format!("{}.weight", a.embedding()), kernel, Role::Input)?;
        let positions = self.builder.buffer("positions", &self.axes()[1..], Role::Input)?;
        let rows_axes = [u64::from(self.items), self.sequence.into(), numbers.into()];
        let rows = self.builder.buffer("cuboids", &rows_axes, Role::Scratch)?;
        let (weight, positions) = (self.builder.bind_all(weight)?, self.builder.bind_all(positions)?);
        let projection = Projection { weight, bias: Some(positions) };
        for (first, items) in self.slices() {
            let item = clip_axes[1..].iter().product::<u64>();
            let (clip, clip_offset) = self.builder.bind(clip, u64::from(first) * item, u64::from(items) * item)?;
            let item = u64::from(self.sequence) * u64::from(numbers);
            let (rows, rows_offset) = self.builder.bind(rows, 0, u64::from(items) * item)?;
            let cut = CuboidsParams {
                batch: items,
                channels: CHANNELS,
                frames: self.shape.frames(),
                grid_rows: side,
                grid_columns: side,
                depth: a.patch_depth,
                side: a.patch,
                skip: 1,
                clip_offset,
                rows_offset,
            };
            self.builder.push("cuboids", cut, &[clip, rows])?;
            let x = Rows { binding: rows, offset: rows_offset, batch_stride: self.sequence * numbers, row_stride: numbers };
            let embed = Dense::new((items, self.sequence), (numbers, c), projection);
            let y = self.tokens(self.stream, (first, items))?;
            Dense { bias_per_row: true, ..embed }.push(&mut self.builder, "embedding", x, y)?;
        }
        Ok(())
    }

    /// Normalises the first `rows` tokens of each batch item, from `[B, 1+N, C]` into a buffer of `to_rows` rows an item.
    fn push_norm(
        &mut self,
        Projection { weight, bias }: Projection,
        rows: u32,
        from: BufferId,
        (to, to_rows): (BufferId, u32),
    ) -> Result<()> {
        for slice in self.slices() {
            let (x, y) = (self.tokens(from, slice)?, self.rows_of(to, to_rows, slice)?);
            let params = LayerNormParams {
                batch: slice.1,
                rows,
                size: self.shape.channels(),
                epsilon: EPSILON,
                x_offset: x.offset,
                x_batch_stride: x.batch_stride,
                x_row_stride: x.row_stride,
                y_offset: y.offset,
                y_batch_stride: y.batch_stride,
                y_row_stride: y.row_stride,
            };
            self.builder.push("norm", params, &[x.binding, weight, bias.unwrap_or(weight), y.binding])?;
        }
        Ok(())
    }

    /// The learned scales `NAME.weight [C]` and shifts `NAME.bias [C]` of a normalisation.
    fn learned_norm(&mut self, name: &str) -> Result<Projection> {
        let c = [u64::from(self.shape.channels())];
        let [scales, shifts] = ["weight", "bias"].map(|part| self.builder.buffer(&format!("{name}.{part}"), &c, Role::Input));
        Ok(Projection { weight: self.builder.bind_all(scales?)?, bias: Some(self.builder.bind_all(shifts?)?) })
    }

    /// The final norm, of what is wanted, and the head on the class token.
    fn finish(&mut self) -> Result<()> {
        let NetworkOutputs { logits, features, .. } = self.spec.outputs;
        if !logits && features != Some(Features::Final) {
            return Ok(());
        }
        let norm = self.learned_norm("norm")?;
        if features == Some(Features::Final) {
            let features = self.builder.buffer("features", &self.axes(), Role::Output)?;
            self.push_norm(norm, self.sequence, self.stream, (features, self.sequence))?;
        }
        if logits { self.classify(norm) } else { Ok(()) }
    }

    /// `pre_logits [B,C]` and `logits0 [B,classes]`, `logits1`, ...
    fn classify(&mut self, norm: Projection) -> Result<()> {
        let (batch, c) = (self.shape.batch(), self.shape.channels());
        let head = self.spec.architecture.head.clone();
        let axes = [batch, c].map(u64::from);
        let pre_logits = self.builder.buffer("pre_logits", &axes, Role::Output)?;
        let rows = |network: &Self, buffer| -> Result<Rows> {
            Ok(Rows { binding: network.builder.bind_all(buffer)?, offset: 0, batch_stride: 0, row_stride: c })
        };
        match head.hidden {
            None => self.push_norm(norm, 1, self.stream, (pre_logits, 1))?,
            Some(activation) => {
                let class = self.builder.buffer("class token", &axes, Role::Scratch)?;
                self.push_norm(norm, 1, self.stream, (class, 1))?;
                let hidden = projection(&mut self.builder, "pre_logits.fc", c.into(), c.into(), true)?;
                let (x, y) = (rows(self, class)?, rows(self, pre_logits)?);
                let product = Dense { activation: Some(activation), ..Dense::new((1, batch), (c, c), hidden) };
                product.push(&mut self.builder, "head's hidden layer", x, y)?;
            }
        }
        for (number, &classes) in head.classes.iter().enumerate() {
            let name = if head.classes.len() == 1 { "head".to_owned() } else { format!("head{number}") };
            let weights = projection(&mut self.builder, &name, classes.into(), c.into(), true)?;
            let logits = self.builder.buffer(&format!("logits{number}"), &[batch.into(), classes.into()], Role::Output)?;
            let (x, y) = (rows(self, pre_logits)?, Rows { row_stride: classes, ..rows(self, logits)? });
            Dense::new((1, batch), (c, classes), weights).push(&mut self.builder, "head", x, y)?;
        }
        Ok(())
    }
}
