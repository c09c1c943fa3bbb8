//! V-JEPA 2 (Assran et al., 2025), as Hugging Face's library has it: the encoder, and the classifier where there is one. The predictor is left out: neither features
//! nor logits need it.
//!
//! ```text
//! x_0     = patches W_e' + b_e
//! x'_i    = x_i + attention(LN(x_i)),   queries and keys turned by the token's frame, row and column
//! x_{i+1} = x'_i + W_2' act(W_1' LN(x'_i) + b_1) + b_2
//! tokens  = LN(x_L)
//! pooled  = z + mlp(LN(z)),   z = query + attention of the query to LN(layers without positions(tokens))
//! logits  = W_c' pooled + b_c
//! ```
//!
//! Inputs: `clip [B,3,T,H,W]`, normalised; `positions`, by what queries and keys turn, which follow from sizes alone; all weights under their published names.
//! Outputs: `logits [B,classes]` and `tokens [B,N,C]`, behind a block or the last normalisation; as operands, of a block, what its attention compares, turned:
//! `queries [B,N,C]` and `keys [B,N,C]`.
//!
//! Queries, keys and values are in buffers of their own: packed, those of a clip of 18,432 tokens would exceed a binding.

mod architecture;
mod attribution;
mod config;
mod layer;
mod network;
mod pooler;
mod positions;

pub use architecture::{Architecture, Classifier};
pub(super) use config::READER;

use super::{CHANNELS, Features, NetworkOutputs};
use crate::weights::POSITIONS;
use layer::Kind;
use orthoformer::ops::kit::{
    Alternating, Budget, Clips, Embedding, Mlp, Norm, Projection, SelfAttention, heads, hidden_layer, mlp, norm, patch_weight,
    projection,
};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::shape::Shape;
use orthoformer::view::View;
use orthoformer::{Error, Result};

/// Name of the output that holds features.
const TOKENS: &str = "tokens";

/// Plans a network for so many clips.
///
/// # Errors
/// Those of [`Architecture::shape`] and [`NetworkOutputs::check`]; [`Error::Argument`] for logits of a network without classifier, and for trajectories;
/// [`Error::BindingTooLarge`] if the queries of one clip exceed a binding.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    let shape = architecture.shape(batch)?;
    outputs.check(architecture.depth)?;
    outputs.refuse_trajectories("V-JEPA 2")?;
    let mut network = NetworkPlan::new(architecture, outputs, shape, limits)?;
    network.embed()?;
    for block in 0..=outputs.last_block(architecture.depth) {
        network.push_block(block)?;
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
    /// By what queries and keys turn.
    positions: View,
    /// The tokens `[B,N,C]`, after what has been planned so far.
    stream: View,
    /// The two buffers that hold them alternately, unless they are handed out.
    buffers: Alternating,
    /// Normalised tokens `[B,N,C]`.
    normed: View,
    /// Hidden layers of the encoder's MLPs and of the pooler's, `[1,rows,hidden]`.
    hidden: [View; 2],
    /// Queries and keys as they are projected, of the clips that go through attention together: `[items,N,C]`. So are the following.
    unturned: View,
    queries: View,
    keys: View,
    values: View,
    /// What attention makes of them.
    attended: View,
    /// Queries and keys of all clips `[B,N,C]`, where those of the current attention are handed out.
    operands: Option<[View; 2]>,
}

impl<'s> NetworkPlan<'s> {
    fn new(architecture: &'s Architecture, outputs: &'s NetworkOutputs, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let [batch, tokens, c] = [shape.batch(), shape.tokens(), shape.channels()].map(u64::from);
        let items = Budget::of_scratch(&limits).items(tokens * c, batch);
        let table = [positions::count(architecture.grid()?), 4, positions::pairs(shape.head_size())].map(u64::from);
        let positions = builder.array(POSITIONS, &table, Role::Input)?;
        let mut scratch = |name: &str, items: u64| builder.array(name, &[items, tokens, c], Role::Scratch);
        let buffers @ [stream, in_turn] = [scratch("tokens", batch)?, scratch("tokens in turn", batch)?];
        let normed = scratch("normed tokens", batch)?;
        let unturned = scratch("queries or keys ahead of rotation", items)?;
        let (queries, keys, values) = (scratch("queries", items)?, scratch("keys", items)?, scratch("values", items)?);
        let attended = scratch("attended", items)?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream.buffer(), in_turn.buffer()])?;
        let mut hidden = |size: u32| hidden_layer(&mut builder, batch * tokens, size.into());
        let hidden = [hidden(architecture.hidden)?, hidden(architecture.pooler_hidden())?];
        let buffers = Alternating(buffers);
        let operands = None;
        Ok(Self {
            architecture,
            outputs,
            shape,
            builder,
            positions,
            stream,
            buffers,
            normed,
            hidden,
            unturned,
            queries,
            keys,
            values,
            attended,
            operands,
        })
    }

    /// The patches' embedding: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = self.architecture;
        let clip = [self.shape.batch(), CHANNELS, a.frames, a.crop, a.crop].map(u64::from);
        let clip = self.builder.array("clip", &clip, Role::Input)?;
        self.builder.name_under(&format!("{}encoder.embeddings.patch_embeddings.", a.prefix()));
        let patch @ [depth, height, width] = [a.tubelet, a.patch, a.patch].map(u64::from);
        let axes = [self.channels(), CHANNELS.into(), depth, height, width];
        let weight = patch_weight(&mut self.builder, "proj.weight", axes, false)?;
        let bias = self.builder.array("proj.bias", &[self.channels()], Role::Input)?;
        let projection = Projection { weight, bias: Some(bias) };
        let embedding = Embedding { clip, patch, grid: a.grid()?.map(u64::from), skip: 0, projection };
        embedding.push(&mut self.builder, self.stream)
    }

    /// Appends block `number` of the encoder.
    fn push_block(&mut self, number: u32) -> Result<()> {
        self.builder.name_under(&format!("{}encoder.layer.{number}.", self.architecture.prefix()));
        if self.outputs.operands == Some(number) {
            let axes = self.stream.shape();
            let mut output = |name: &str| self.builder.array(name, &axes, Role::Output);
            self.operands = Some([output("queries")?, output("keys")?]);
        }
        let is_wanted = self.outputs.features == Some(Features::Block(number));
        let target = if is_wanted { self.features()? } else { self.after_layer() };
        layer::push(self, Kind::Encoder, target)
    }

    /// The last normalisation, and what is wanted of its tokens.
    fn finish(&mut self) -> Result<()> {
        let is_final = self.outputs.features == Some(Features::Final);
        if !self.outputs.logits && !is_final {
            return Ok(());
        }
        self.builder.name_under(&format!("{}encoder.", self.architecture.prefix()));
        let norm = self.norm("layernorm")?;
        let target = if is_final { self.features()? } else { self.target() };
        norm.push(&mut self.builder, self.stream, target)?;
        self.stream = target;
        match (self.outputs.logits, self.architecture.classifier) {
            (true, Some(classifier)) => pooler::push(self, classifier),
            (true, None) => {
                let expected = "features: it has no classifier".to_owned();
                Err(Error::Argument { what: "outputs", given: "logits".to_owned(), expected })
            }
            (false, _) => Ok(()),
        }
    }

    /// `C`.
    fn channels(&self) -> u64 {
        self.shape.channels().into()
    }

    /// Where the tokens go next.
    fn target(&self) -> View {
        self.buffers.after(self.stream)
    }

    /// Where they go after a layer: its first half goes where they go next.
    fn after_layer(&self) -> View {
        self.buffers.after(self.target())
    }

    /// Where they go if they are handed out.
    fn features(&mut self) -> Result<View> {
        self.builder.array(TOKENS, &self.stream.shape(), Role::Output)
    }

    /// The hidden layer of MLPs.
    fn hidden(&self, kind: Kind) -> View {
        let [encoder, pooler] = self.hidden;
        if kind == Kind::Encoder { encoder } else { pooler }
    }

    /// Adds the weights of a normalisation.
    fn norm(&mut self, name: &str) -> Result<Norm> {
        norm(&mut self.builder, name, self.shape.channels().into(), self.architecture.epsilon)
    }

    /// Adds the weights of an MLP with this hidden layer.
    fn mlp(&mut self, hidden: View) -> Result<Mlp> {
        let sizes = [self.channels(), hidden.size(2)];
        mlp(&mut self.builder, ["mlp.fc1", "mlp.fc2"], sizes, self.architecture.activation)
    }

    /// Adds the weights of a projection from tokens to tokens.
    fn projection(&mut self, name: &str, has_bias: bool) -> Result<Projection> {
        let c = self.channels();
        projection(&mut self.builder, name, c, c, has_bias)
    }

    /// Clips that go through attention together, one part after the other.
    fn parts(&self) -> impl Iterator<Item = Clips> + use<> {
        Clips::parts(self.stream.size(0), self.queries.size(0))
    }

    /// Where queries and keys of some clips go: to outputs, if they are handed out.
    fn compared(&self, clips: Clips) -> [View; 2] {
        let scratch = || [self.queries, self.keys].map(|view| clips.of_scratch(view));
        self.operands.map_or_else(scratch, |operands| operands.map(|view| clips.of(view)))
    }

    /// Attention of queries to keys and values, `[items,...,C]` each, into `out`.
    fn attention(&self, operands: [View; 3], out: View) -> SelfAttention {
        let by_heads = |tokens: View| heads(tokens, self.shape.heads().into());
        let [queries, keys, values] = operands.map(by_heads);
        SelfAttention { queries, keys, values, out: by_heads(out), scale: self.shape.scale() }
    }

    /// Says that what attention was computed from and into is not needed any more.
    fn finish_attention(&mut self) -> Result<()> {
        self.operands = None;
        let all = [self.normed, self.unturned, self.queries, self.keys, self.values, self.attended];
        self.builder.release(&all.map(|view| view.buffer()))
    }
}
