//! TimeSformer (Bertasius et al., ICML 2021) and ViViT's model without factors (Arnab et al., ICCV 2021), as Hugging Face's library has them.
//!
//! ```text
//! x_0     = [class token; patches W_e' + b_e] + positions
//! joint:    x'_i = x_i + attention(LN(x_i))
//! divided:  time_i  = patches_i + W_d' time attention(LN(patches_i)) + b_d
//!           space_i = attention within each frame of LN([class_i; time_i]); the class token is in every frame, and its results are averaged
//!           x'_i    = [class_i; time_i] + space_i
//! x_{i+1} = x'_i + W_2' act(W_1' LN(x'_i) + b_1) + b_2
//! logits  = W_c' LN(x_L)[class] + b_c
//! ```
//!
//! Tokens are in frame-major order, where the library's TimeSformer has frames innermost: only features show that.
//!
//! Inputs: `clip [B,3,T,H,W]`, normalised; `positions [1+N,C]`, what is added to every token: the class token and its position in row 0, the embedding's bias
//! and the positions of place and time in the others; all other weights under their published names. Outputs: `logits [B,classes]`, `features [B,1+N,C]`;
//! as operands, the queries, keys and values of a block next to each other: `operands [B,1+N,3C]`, and of divided attention, where those are of the pass within
//! frames, `time_operands [B,1+N,3C]` of the pass along time, which has nothing of the class token in row 0.
//!
//! Where only logits are wanted, the last block computes no more than the class token needs.

mod blocks;
mod spec;

pub use spec::{Architecture, Kind};

use super::dense::{Projection, projection};
use super::motionformer::{CHANNELS, Features, NetworkOutputs};
use super::tokens::{Embedding, Product, Tokens, inside_of_mlp, items_at_once, norm};
use crate::error::{Error, Result};
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::Shape;

/// Plans a network for so many clips.
///
/// # Errors
/// Those of [`Architecture::shape`] and [`NetworkOutputs::check`]; [`Error::Argument`] for logits of a network without classifier;
/// [`Error::BindingTooLarge`] if the packed queries, keys and values of one clip exceed a binding.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    let shape = architecture.shape(batch)?;
    outputs.check(architecture.depth)?;
    outputs.refuse_trajectories(architecture.kind.family())?;
    let mut network = NetworkPlan::new(architecture, outputs, shape, limits)?;
    network.embed()?;
    for block in 0..=outputs.last_block(architecture.depth) {
        blocks::push_block(&mut network, block)?;
    }
    network.finish()?;
    Ok(network.builder.build())
}

/// A network being planned.
struct NetworkPlan<'s> {
    architecture: &'s Architecture,
    outputs: &'s NetworkOutputs,
    shape: Shape,
    builder: PlanBuilder,
    /// The tokens `[B,1+N,C]`, after what has been planned so far.
    stream: Tokens,
    /// The other buffer for them.
    in_turn: Tokens,
    /// Tokens brought to mean zero and variance one.
    normed: Tokens,
    /// Inside of the MLP.
    inside: Tokens,
    /// Queries, keys and values, of as many clips as go through attention together: `[items,1+N,3C]`.
    packed: Tokens,
    /// The same while they are not handed out.
    scratch_packed: Tokens,
    /// Whether the current block's are handed out.
    operands: bool,
    /// What attention makes of them, `[items,1+N,C]`.
    attended: Tokens,
}

impl<'s> NetworkPlan<'s> {
    fn new(architecture: &'s Architecture, outputs: &'s NetworkOutputs, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let axes = [shape.batch(), shape.tokens() + 1, shape.channels()];
        let mut scratch = |name: &str, axes: [u32; 3]| Tokens::new(&mut builder, name, axes, Role::Scratch);
        let (stream, in_turn) = (scratch("tokens", axes)?, scratch("tokens in turn", axes)?);
        let normed = scratch("normed tokens", axes)?;
        let items = items_at_once(&limits, axes[0], 3 * u64::from(axes[1]) * u64::from(axes[2]));
        let packed = scratch("packed qkv", [items, axes[1], 3 * axes[2]])?;
        let attended = scratch("attended", [items, axes[1], axes[2]])?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream.buffer, in_turn.buffer])?;
        let rows = u64::from(axes[0]) * u64::from(axes[1]);
        let inside = inside_of_mlp(&mut builder, rows, architecture.hidden)?;
        builder.name_under(&architecture.prefix());
        let (operands, scratch_packed) = (false, packed);
        Ok(Self {
            architecture,
            outputs,
            shape,
            builder,
            stream,
            in_turn,
            normed,
            inside,
            packed,
            scratch_packed,
            operands,
            attended,
        })
    }

    /// The patches' embedding, and positions: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = self.architecture;
        let sizes = [CHANNELS, a.frames, a.height, a.width];
        self.builder.name_under("");
        let clip_axes: Vec<u64> = [self.shape.batch()].into_iter().chain(sizes).map(u64::from).collect();
        let clip = self.builder.buffer("clip", &clip_axes, Role::Input)?;
        let positions = self.builder.buffer("positions", &[self.stream.rows, a.channels].map(u64::from), Role::Input)?;
        self.builder.name_under(&a.prefix());
        let [depth, height, width] = a.patch.map(u64::from);
        let (c, colours) = (u64::from(a.channels), u64::from(CHANNELS));
        let kernel = match a.kind {
            Kind::Vivit => vec![c, colours, depth, height, width],
            Kind::TimeSformerDivided | Kind::TimeSformerJoint => vec![c, colours, height, width],
        };
        let weight = self.builder.buffer("embeddings.patch_embeddings.projection.weight", &kernel, Role::Input)?;
        let projection = Projection { weight: self.builder.bind_all(weight)?, bias: Some(self.builder.bind_all(positions)?) };
        let embedding = Embedding { clip, sizes, cuboid: a.patch, grid: a.grid()?, skip: 1, projection, bias_per_row: true };
        embedding.push(&mut self.builder, self.stream)
    }

    /// Chooses where queries, keys and values go: to an output of this name if they are handed out.
    fn pack(&mut self, name: &str) -> Result<()> {
        self.packed = match self.operands {
            true => {
                let axes = [self.stream.batch, self.stream.rows, self.scratch_packed.stride];
                let all = Tokens::new(&mut self.builder, name, axes, Role::Output)?;
                Tokens { batch: self.scratch_packed.batch, ..all }
            }
            false => self.scratch_packed,
        };
        Ok(())
    }

    /// The queries, keys and values of these clips.
    fn packed(&self, first: u32, items: u32) -> Tokens {
        self.packed.batch_items(if self.operands { first } else { 0 }, items)
    }

    /// Where the tokens of a block go, if they are handed out after it.
    fn features(&mut self) -> Result<Tokens> {
        let axes = [self.stream.batch, self.stream.rows, self.stream.stride];
        Tokens::new(&mut self.builder, "features", axes, Role::Output)
    }

    /// The final norm, of what is wanted, and the classifier on the class token.
    fn finish(&mut self) -> Result<()> {
        let (a, c) = (self.architecture, self.shape.channels());
        let is_final = self.outputs.features == Some(Features::Final);
        if !self.outputs.logits && !is_final {
            return Ok(());
        }
        let norm = norm(&mut self.builder, "layernorm", c, a.epsilon)?;
        if is_final {
            let features = self.features()?;
            norm.push(&mut self.builder, self.stream, features)?;
        }
        if !self.outputs.logits {
            return Ok(());
        }
        let Some(classes) = a.classes else {
            let expected = "features: it has no classifier".to_owned();
            return Err(Error::Argument { what: "outputs", given: "logits".to_owned(), expected });
        };
        let batch = self.shape.batch();
        let class = self.builder.buffer("class token", &[batch, c].map(u64::from), Role::Scratch)?;
        norm.push(&mut self.builder, self.stream.part(0, 1), Tokens::all(class, [batch, 1, c]))?;
        self.builder.name_under("");
        let weights = projection(&mut self.builder, "classifier", classes.into(), c.into(), true)?;
        let logits = self.builder.buffer("logits", &[batch, classes].map(u64::from), Role::Output)?;
        let (x, y) = (Tokens::all(class, [1, batch, c]), Tokens::all(logits, [1, batch, classes]));
        Product::new("classifier", weights).push(&mut self.builder, x, y)
    }
}
