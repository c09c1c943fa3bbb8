//! TimeSformer (Bertasius et al., ICML 2021), ViViT's model without factors (Arnab et al., ICCV 2021) and VideoMAE's encoder (Tong et al., NeurIPS 2022), as
//! Hugging Face's library has them.
//!
//! ```text
//! x_0     = [class token; patches W_e' + b_e] + positions
//! joint:    x'_i = x_i + attention(LN(x_i))
//! divided:  time_i  = patches_i + W_d' time attention(LN(patches_i)) + b_d
//!           space_i = attention within each frame of LN([class_i; time_i]); the class token is in every frame, and its results are averaged
//!           x'_i    = [class_i; time_i] + space_i
//! x_{i+1} = x'_i + W_2' act(W_1' LN(x'_i) + b_1) + b_2
//! logits  = W_c' LN(x_L)[class] + b_c
//! VideoMAE: no class token;  logits = W_c' LN(x_L)[first token] + b_c  or  W_c' LN(mean of x_L) + b_c, where nothing else is normalised after the last block
//! ```
//!
//! Projections to queries, keys and values may have biases, of a VideoMAE those to queries and values alone: a key's would be the same for all scores of a row.
//!
//! Tokens are in frame-major order, where the library's TimeSformer has frames innermost: only features show that.
//!
//! Inputs: `clip [B,3,T,H,W]`, normalised; `positions [1+N,C]`, what is added to every token: the class token and its position in row 0, the embedding's bias
//! and the positions in space and time in the others; all other weights under their published names. Outputs: `logits [B,classes]`, `features [B,1+N,C]`;
//! as operands, the queries, keys and values of a block next to each other: `operands [B,1+N,3C]`, and of divided attention, where those are of the pass within
//! frames, `time_operands [B,1+N,3C]` of the pass along time, which has nothing of the class token in row 0. Without class token all have `N` rows.
//!
//! Where only logits are wanted, the last block computes no more than the token that is classified needs.

mod architecture;
mod attribution;
mod blocks;
mod config;
mod divided;
mod names;
mod network;
mod positions;

pub use architecture::{Architecture, Kind, Pooling, QkvBias};
pub(super) use config::READER;
pub(super) use names::NAMINGS;

use super::{CHANNELS, Features, NetworkOutputs};
use orthoformer::ops::kit::{
    Alternating, Budget, Clips, Embedding, Norm, Packed, Product, Projection, SelfAttention, hidden_layer, mean, norm,
    patch_weight, projection,
};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::shape::Shape;
use orthoformer::view::View;
use orthoformer::{Error, Result};

/// Added to the variance of the mean of all tokens: PyTorch's own, as the library leaves it, whatever the configuration says of other norms.
const MEAN_EPSILON: f32 = 1e-5;

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
    /// The tokens `[B,1+N,C]`, or `[B,N,C]` without class token, after what has been planned so far.
    stream: View,
    /// The two buffers that hold them alternately, unless they are handed out.
    buffers: Alternating,
    /// Normalised tokens `[B,1+N,C]`.
    normed: View,
    /// Hidden layer of the MLP, `[1,rows,hidden]`.
    hidden: View,
    /// Queries, keys and values of as many clips as go through attention together: `[items,1+N,3C]`.
    packed: View,
    /// The same of all clips `[B,1+N,3C]`, where those of the current attention are handed out.
    operands: Option<View>,
    /// What attention makes of them, `[items,1+N,C]`.
    attended: View,
}

impl<'s> NetworkPlan<'s> {
    fn new(architecture: &'s Architecture, outputs: &'s NetworkOutputs, shape: Shape, limits: PlanLimits) -> Result<Self> {
        let mut builder = PlanBuilder::new(limits);
        let [batch, patches, c] = [shape.batch(), shape.tokens(), shape.channels()].map(u64::from);
        let tokens = patches + u64::from(architecture.kind.class_tokens());
        let items = Budget::of_scratch(&limits).items(3 * tokens * c, batch);
        let mut scratch = |name: &str, axes: [u64; 3]| builder.array(name, &axes, Role::Scratch);
        let stream = scratch("tokens", [batch, tokens, c])?;
        let in_turn = scratch("tokens in turn", [batch, tokens, c])?;
        let normed = scratch("normed tokens", [batch, tokens, c])?;
        let packed = scratch("packed qkv", [items, tokens, 3 * c])?;
        let attended = scratch("attended", [items, tokens, c])?;
        // What blocks add to them is small beside what is there.
        builder.keep_exact(&[stream.buffer(), in_turn.buffer()])?;
        let hidden = hidden_layer(&mut builder, batch * tokens, architecture.hidden.into())?;
        builder.name_under(&architecture.prefix());
        let buffers = Alternating([stream, in_turn]);
        Ok(Self { architecture, outputs, shape, builder, stream, buffers, normed, hidden, packed, operands: None, attended })
    }

    /// The patches' embedding, and positions: the tokens that the first block sees.
    fn embed(&mut self) -> Result<()> {
        let a = self.architecture;
        self.builder.name_under("");
        let clip = [self.shape.batch(), CHANNELS, a.frames, a.height, a.width].map(u64::from);
        let clip = self.builder.array("clip", &clip, Role::Input)?;
        let positions = self.builder.array("positions", &[self.stream.size(1), self.channels()], Role::Input)?;
        self.builder.name_under(&a.prefix());
        let patch @ [depth, height, width] = a.patch.map(u64::from);
        let axes = [self.channels(), CHANNELS.into(), depth, height, width];
        let name = "embeddings.patch_embeddings.projection.weight";
        let weight = patch_weight(&mut self.builder, name, axes, a.kind.is_timesformer())?;
        let projection = Projection { weight, bias: Some(positions) };
        let embedding = Embedding { clip, patch, grid: a.grid()?.map(u64::from), skip: a.kind.class_tokens(), projection };
        embedding.push(&mut self.builder, self.stream)
    }

    /// `C`.
    fn channels(&self) -> u64 {
        self.shape.channels().into()
    }

    /// `S`: patches of a frame.
    fn patches(&self) -> u64 {
        self.shape.patches().into()
    }

    /// Where the tokens go next.
    fn target(&self) -> View {
        self.buffers.after(self.stream)
    }

    /// Adds the weights of a normalisation.
    fn norm(&mut self, name: &str) -> Result<Norm> {
        norm(&mut self.builder, name, self.shape.channels().into(), self.architecture.epsilon)
    }

    /// Adds the weights of a projection from tokens to tokens.
    fn projection(&mut self, name: &str) -> Result<Projection> {
        let c = self.channels();
        projection(&mut self.builder, name, c, c, true)
    }

    /// Clips that go through attention together, one part after the other.
    fn parts(&self) -> impl Iterator<Item = Clips> + use<> {
        Clips::parts(self.stream.size(0), self.packed.size(0))
    }

    /// Chooses where queries, keys and values of a block go: to an output of this name if they are handed out.
    fn choose_packed(&mut self, block: u32, name: &str) -> Result<()> {
        self.operands = None;
        if self.outputs.operands == Some(block) {
            let axes = [self.stream.size(0), self.stream.size(1), self.packed.size(2)];
            self.operands = Some(self.builder.array(name, &axes, Role::Output)?);
        }
        Ok(())
    }

    /// The packed queries, keys and values of some clips.
    fn packed(&self, clips: Clips) -> Packed {
        let all = self.operands.map_or(clips.of_scratch(self.packed), |operands| clips.of(operands));
        Packed::new(all, self.shape.heads().into())
    }

    /// What attention makes of some clips, `[count,1+N,C]`.
    fn attended(&self, clips: Clips) -> View {
        clips.of_scratch(self.attended)
    }

    /// Attention of some clips.
    fn attention(&self, clips: Clips) -> SelfAttention {
        SelfAttention::new(self.packed(clips), self.attended(clips), self.shape.scale())
    }

    /// Says that what attention was computed from and into is not needed any more.
    fn finish_attention(&mut self) -> Result<()> {
        let packed = self.operands.unwrap_or(self.packed);
        self.builder.release(&[self.normed.buffer(), packed.buffer(), self.attended.buffer()])
    }

    /// Whether a block is asked for nothing but the first token.
    fn is_first_only(&self, block: u32) -> bool {
        let a = self.architecture;
        a.kind.pooling() == Pooling::First && self.outputs.is_class_only(block, a.depth)
    }

    /// Whether the tokens of a block are handed out as they are: without a final norm, the last block's are the final ones.
    fn hands_out(&self, block: u32) -> bool {
        let a = self.architecture;
        match self.outputs.features {
            Some(Features::Block(wanted)) => block == wanted,
            Some(Features::Final) => a.kind.pooling() == Pooling::Mean && block + 1 == a.depth,
            None => false,
        }
    }

    /// Where the tokens go that are handed out.
    fn features(&mut self) -> Result<View> {
        self.builder.array("features", &self.stream.shape(), Role::Output)
    }

    /// The final norm, where there is one, of what is wanted, and the classifier.
    fn finish(&mut self) -> Result<()> {
        let is_final = self.outputs.features == Some(Features::Final);
        let final_norm = match self.architecture.kind.pooling() {
            Pooling::First if self.outputs.logits || is_final => Some(self.norm("layernorm")?),
            _ => None,
        };
        if is_final && let Some(norm) = final_norm {
            let features = self.features()?;
            norm.push(&mut self.builder, self.stream, features)?;
        }
        if self.outputs.logits { self.classify(final_norm) } else { Ok(()) }
    }

    /// `logits [B,classes]`.
    fn classify(&mut self, final_norm: Option<Norm>) -> Result<()> {
        let Some(classes) = self.architecture.classes else {
            let expected = "features: it has no classifier".to_owned();
            return Err(Error::Argument { what: "outputs", given: "logits".to_owned(), expected });
        };
        let (batch, c) = (self.stream.size(0), self.channels());
        self.builder.name_under("");
        let token = self.builder.array("classified token", &[batch, 1, c], Role::Scratch)?;
        match final_norm {
            Some(norm) => norm.push(&mut self.builder, self.stream.part(1, 0, 1), token)?,
            None => {
                let pooled = self.builder.array("mean token", &[batch, 1, c], Role::Scratch)?;
                mean(&mut self.builder, "mean of all tokens", self.stream, pooled)?;
                norm(&mut self.builder, "fc_norm", c, MEAN_EPSILON)?.push(&mut self.builder, pooled, token)?;
            }
        }
        let weights = projection(&mut self.builder, "classifier", classes.into(), c, true)?;
        let logits = self.builder.array("logits", &[batch, classes.into()], Role::Output)?;
        // All clips' tokens are rows of one batch item.
        let rows = token.join(0).split(0, batch);
        Product::new("classifier", weights).push(&mut self.builder, rows, logits.split(0, batch))
    }
}
