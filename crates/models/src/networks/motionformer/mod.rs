//! Motionformer: a clip in, logits out (Patrick et al., NeurIPS 2021; the published code's `VisionTransformer`).
//!
//! ```text
//! x_0     = [class token; patches W_e' + b_e] + positions
//! x'_i    = x_i + attention_i(LN(x_i))          (divided: first time, then space)
//! x_{i+1} = x'_i + W_2' gelu(W_1' LN(x'_i) + b_1) + b_2
//! pre_logits = act(W_p' LN(x_L)[class] + b_p),  logits_h = W_h' pre_logits + b_h
//! ```
//!
//! Inputs: `clip [B,3,T,S,S]`, normalised; `positions [1+N, C]`, which holds what is added to every token: the class token and its position
//! in row 0, the embedding's bias and the patch's position in the others ([`positions`] makes it of the published tensors); all other
//! weights under their published names. Outputs: what [`NetworkOutputs`] asks for.
//!
//! Where only logits are wanted, the last block computes no more than they need: keys and values of all tokens, but queries, attention and MLP
//! of the class token alone, as patches are not looked at afterwards.

mod architecture;
mod attribution;
mod blocks;
pub(crate) mod cfg;
mod config;
mod network;
pub mod positions;
mod preset;
mod shapes;

pub use architecture::{Architecture, BlockAttention, Head, MotionformerSpec};
pub(super) use config::READER;
pub use preset::Preset;

use super::{CHANNELS, Features, NetworkOutputs};
use blocks::push_block;
use orthoformer::Result;
use orthoformer::ops::kit::{Alternating, Embedding, Norm, Product, Projection, hidden_layer, norm, patch_weight, projection};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::shape::Shape;
use orthoformer::view::View;

/// The published networks' layer normalisations add this to the variance.
const EPSILON: f32 = 1e-6;

/// Plans a network.
///
/// # Errors
/// Those of [`MotionformerSpec::shape`] and [`orthoformer::ops::layer::plan`]; [`orthoformer::Error::OutOfRange`] for layers that there are not.
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
    stream: View,
    /// The two buffers that hold them alternately, unless they are handed out.
    buffers: Alternating,
    /// Normalised tokens `[B, 1+N, C]`.
    normed: View,
    /// Hidden layer of the MLP, `[1, rows, hidden]`.
    hidden: View,
}

impl<'s> NetworkPlan<'s> {
    fn new(spec: &'s MotionformerSpec, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let [batch, patches, c] = [shape.batch(), shape.tokens(), shape.channels()].map(u64::from);
        let tokens = patches + 1;
        let axes = [batch, tokens, c];
        let stream = builder.array("tokens", &axes, Role::Scratch)?;
        let in_turn = builder.array("tokens in turn", &axes, Role::Scratch)?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream.buffer(), in_turn.buffer()])?;
        let normed = builder.array("normed tokens", &axes, Role::Scratch)?;
        let hidden = hidden_layer(&mut builder, batch * tokens, spec.architecture.hidden.into())?;
        Ok(Self { spec, shape, builder, stream, buffers: Alternating([stream, in_turn]), normed, hidden })
    }

    /// Where the tokens go next.
    fn target(&self) -> View {
        self.buffers.after(self.stream)
    }

    /// `features [B, 1+N, C]`.
    fn features(&mut self) -> Result<View> {
        self.builder.array("features", &self.stream.shape(), Role::Output)
    }

    /// Patches, their embedding, and positions: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = &self.spec.architecture;
        let side = a.crop / a.patch;
        let clip = [self.shape.batch(), CHANNELS, a.frames, a.crop, a.crop].map(u64::from);
        let clip = self.builder.array("clip", &clip, Role::Input)?;
        let weight = [self.shape.channels(), CHANNELS, a.patch_depth, a.patch, a.patch].map(u64::from);
        let weight = patch_weight(&mut self.builder, &format!("{}.weight", a.embedding()), weight, a.patch_depth == 1)?;
        let positions = self.builder.array("positions", &[self.stream.size(1), self.stream.size(2)], Role::Input)?;
        let embedding = Embedding {
            clip,
            patch: [a.patch_depth, a.patch, a.patch].map(u64::from),
            grid: [self.shape.frames(), side, side].map(u64::from),
            skip: 1,
            projection: Projection { weight, bias: Some(positions) },
        };
        embedding.push(&mut self.builder, self.stream)
    }

    /// The final norm, of what is wanted, and the head on the class token.
    fn finish(&mut self) -> Result<()> {
        let NetworkOutputs { logits, features, .. } = self.spec.outputs;
        if !logits && features != Some(Features::Final) {
            return Ok(());
        }
        let norm = norm(&mut self.builder, "norm", self.stream.size(2), EPSILON)?;
        if features == Some(Features::Final) {
            let features = self.features()?;
            norm.push(&mut self.builder, self.stream, features)?;
        }
        if logits { self.classify(norm) } else { Ok(()) }
    }

    /// `pre_logits [B,C]` and `logits0 [B,classes]`, `logits1`, ...
    fn classify(&mut self, norm: Norm) -> Result<()> {
        let (batch, c) = (self.stream.size(0), self.stream.size(2));
        let head = self.spec.architecture.head.clone();
        let class = self.stream.part(1, 0, 1);
        // A row of each batch item, or as many rows of one.
        let (of_each, of_one) = (|view: View| view.split(0, 1), |view: View| view.split(0, batch));
        let pre_logits = self.builder.array("pre_logits", &[batch, c], Role::Output)?;
        match head.hidden {
            None => norm.push(&mut self.builder, class, of_each(pre_logits))?,
            Some(activation) => {
                let normed = self.builder.array("class token", &[batch, c], Role::Scratch)?;
                norm.push(&mut self.builder, class, of_each(normed))?;
                let hidden = projection(&mut self.builder, "pre_logits.fc", c, c, true)?;
                let product = Product { activation: Some(activation), ..Product::new("head's hidden layer", hidden) };
                product.push(&mut self.builder, of_one(normed), of_one(pre_logits))?;
            }
        }
        for (number, &classes) in head.classes.iter().enumerate() {
            let name = if head.classes.len() == 1 { "head".to_owned() } else { format!("head{number}") };
            let weights = projection(&mut self.builder, &name, classes.into(), c, true)?;
            let logits = self.builder.array(&format!("logits{number}"), &[batch, classes.into()], Role::Output)?;
            Product::new("head", weights).push(&mut self.builder, of_one(pre_logits), of_one(logits))?;
        }
        Ok(())
    }
}
