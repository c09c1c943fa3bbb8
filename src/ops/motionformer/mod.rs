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
//! in row 0, the embedding's bias and the patch's position in the others (the package `orthoformer-models` makes it of the published tensors); all other
//! weights under their published names. Outputs: what [`NetworkOutputs`] asks for.
//!
//! Where only logits are wanted, the last block computes no more than they need: keys and values of all tokens, but queries, attention and MLP
//! of the class token alone, as patches are not looked at afterwards.

mod blocks;
mod describe;
mod spec;

pub use spec::{Architecture, BlockAttention, Features, Head, MotionformerSpec, NetworkOutputs, TrajectoryOutputs};

use super::dense::{Projection, projection};
use super::tokens::{Embedding, Norm, Product, Tokens, inside_of_mlp, norm};
use crate::error::Result;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
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
    /// The tokens `[B, 1+N, C]`, after what has been planned so far.
    stream: Tokens,
    /// The two buffers that take turns in holding them, unless they are handed out.
    turns: [Tokens; 2],
    /// Tokens brought to mean zero and variance one `[B, 1+N, C]`.
    normed: Tokens,
    /// Inside of the MLP.
    inside: Tokens,
}

impl<'s> NetworkPlan<'s> {
    fn new(spec: &'s MotionformerSpec, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let axes = [shape.batch(), shape.tokens() + 1, shape.channels()];
        let stream = Tokens::new(&mut builder, "tokens", axes, Role::Scratch)?;
        let in_turn = Tokens::new(&mut builder, "tokens in turn", axes, Role::Scratch)?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream.buffer, in_turn.buffer])?;
        let normed = Tokens::new(&mut builder, "normed tokens", axes, Role::Scratch)?;
        let rows = u64::from(axes[0]) * u64::from(axes[1]);
        let inside = inside_of_mlp(&mut builder, rows, spec.architecture.hidden)?;
        Ok(Self { spec, shape, builder, stream, turns: [stream, in_turn], normed, inside })
    }

    /// Where the tokens go next: one of the two buffers that they are not in.
    fn target(&self) -> Tokens {
        let [first, second] = self.turns;
        if self.stream.buffer == first.buffer { second } else { first }
    }

    /// `features [B, 1+N, C]`.
    fn features(&mut self) -> Result<Tokens> {
        let axes = [self.stream.batch, self.stream.rows, self.stream.stride];
        Tokens::new(&mut self.builder, "features", axes, Role::Output)
    }

    /// Cuboids, their embedding, and positions: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = &self.spec.architecture;
        let (c, side) = (self.shape.channels(), a.crop / a.patch);
        let sizes = [CHANNELS, a.frames, a.crop, a.crop];
        let clip_axes: Vec<u64> = [self.shape.batch()].into_iter().chain(sizes).map(u64::from).collect();
        let clip = self.builder.buffer("clip", &clip_axes, Role::Input)?;
        let kernel = [c, CHANNELS, a.patch_depth, a.patch, a.patch].map(u64::from);
        let flat = [kernel[0], kernel[1], kernel[3], kernel[4]];
        let kernel: &[u64] = if a.patch_depth == 1 { &flat } else { &kernel };
        let weight = self.builder.buffer(&format!("{}.weight", a.embedding()), kernel, Role::Input)?;
        let positions = self.builder.buffer("positions", &[self.stream.rows, c].map(u64::from), Role::Input)?;
        let projection = Projection { weight: self.builder.bind_all(weight)?, bias: Some(self.builder.bind_all(positions)?) };
        let (cuboid, grid) = ([a.patch_depth, a.patch, a.patch], [self.shape.frames(), side, side]);
        let embedding = Embedding { clip, sizes, cuboid, grid, skip: 1, projection, bias_per_row: true };
        embedding.push(&mut self.builder, self.stream)
    }

    /// The final norm, of what is wanted, and the head on the class token.
    fn finish(&mut self) -> Result<()> {
        let NetworkOutputs { logits, features, .. } = self.spec.outputs;
        if !logits && features != Some(Features::Final) {
            return Ok(());
        }
        let norm = norm(&mut self.builder, "norm", self.shape.channels(), EPSILON)?;
        if features == Some(Features::Final) {
            let features = self.features()?;
            norm.push(&mut self.builder, self.stream, features)?;
        }
        if logits { self.classify(norm) } else { Ok(()) }
    }

    /// `pre_logits [B,C]` and `logits0 [B,classes]`, `logits1`, ...
    fn classify(&mut self, norm: Norm) -> Result<()> {
        let (batch, c) = (self.shape.batch(), self.shape.channels());
        let head = self.spec.architecture.head.clone();
        let class = self.stream.part(0, 1);
        let mut of_class = |name: &str, width: u32, role| self.builder.buffer(name, &[batch, width].map(u64::from), role);
        // One row for each batch item, or as many rows of one.
        let pre_logits = of_class("pre_logits", c, Role::Output)?;
        let seen = Tokens::all(pre_logits, [1, batch, c]);
        match head.hidden {
            None => norm.push(&mut self.builder, class, Tokens::all(pre_logits, [batch, 1, c]))?,
            Some(activation) => {
                let normed = of_class("class token", c, Role::Scratch)?;
                norm.push(&mut self.builder, class, Tokens::all(normed, [batch, 1, c]))?;
                let hidden = projection(&mut self.builder, "pre_logits.fc", c.into(), c.into(), true)?;
                let product = Product { activation: Some(activation), ..Product::new("head's hidden layer", hidden) };
                product.push(&mut self.builder, Tokens::all(normed, [1, batch, c]), seen)?;
            }
        }
        for (number, &classes) in head.classes.iter().enumerate() {
            let name = if head.classes.len() == 1 { "head".to_owned() } else { format!("head{number}") };
            let weights = projection(&mut self.builder, &name, classes.into(), c.into(), true)?;
            let logits = self.builder.buffer(&format!("logits{number}"), &[batch.into(), classes.into()], Role::Output)?;
            Product::new("head", weights).push(&mut self.builder, seen, Tokens::all(logits, [1, batch, classes]))?;
        }
        Ok(())
    }
}
