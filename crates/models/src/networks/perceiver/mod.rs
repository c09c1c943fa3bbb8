//! Perceiver: latents attend to any number of inputs once, then to themselves (Jaegle et al., ICML 2021; Hugging Face's `PerceiverModel`, without
//! what makes inputs of pixels).
//!
//! ```text
//! attention(x, y) = W_o' softmax(LN_1(x) W_q' (LN_2(y) W_k')' / sqrt(head size)) LN_2(y) W_v' + b_o (+ x)
//! layer(x, y)     = z + W_2' act(W_1' LN(z) + b_1) + b_2,   z = attention(x, y)
//! latents         = own(... own(cross(latents, inputs)))
//! logits          = W_h' cross'(query, latents) + b_h
//! ```
//!
//! Inputs: `inputs [B,M,C]` and all weights under their published names. Outputs: `latents [B,L,D]`, behind the last layer or one before, and
//! `logits [B,classes]`, if there is a classifier; as operands, of whichever layer, what the attention to the inputs compares: `queries [1,L,keys]`, the same
//! for all items, and `keys [B,M,keys]`.
//!
//! Keys and values of the inputs are made chunk by chunk (`ops/streamed.rs`), so that memory does not grow with their number.

mod architecture;
mod attribution;
mod config;
mod cross;
mod inputs;
pub mod layer;
mod layers;
mod network;

pub use architecture::{Architecture, Decoder, Layer, Pixels};

use super::{Features, NetworkOutputs};
pub(super) use config::READER;
use cross::CrossLayer;
use layers::{OwnLayer, OwnScratch};
use orthoformer::ops::kit::{Alternating, Product, projection};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::view::View;
use orthoformer::{Error, Result};

/// Plans a network for `batch` items. [`Features::Block`] counts the layers in which latents attend to themselves, each as often as it comes.
///
/// # Errors
/// Those of [`Architecture::check_batch`] and [`NetworkOutputs::check`]; [`Error::Argument`] for logits of a network without classifier, and for trajectories;
/// [`Error::BindingTooLarge`] if what one key or query takes exceeds a binding.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    architecture.check_batch(batch)?;
    let depth = architecture.all_layers()?;
    outputs.refuse_trajectories("Perceiver")?;
    outputs.check(depth)?;
    if outputs.logits && architecture.decoder.is_none() {
        let expected = "features: this network has no classifier".to_owned();
        return Err(Error::Argument { what: "outputs of a network", given: "logits".to_owned(), expected });
    }
    let mut network = NetworkPlan { architecture, batch, builder: PlanBuilder::new(limits) };
    let mut latents = network.encode(outputs.operands.is_some())?;
    let last = outputs.last_block(depth);
    let (layers, scratch) = network.own_layers(last)?;
    let stream = Alternating([latents, network.latents("latents in turn", Role::Scratch)?]);
    for (number, layer) in (0..=last).zip(layers.iter().cycle()) {
        let is_wanted = match outputs.features {
            Some(Features::Block(block)) => block == number,
            Some(Features::Final) => number + 1 == depth,
            None => false,
        };
        // Between the layer's two halves they are where they do not come from, and then where they were or are handed out.
        let between = stream.after(latents);
        let target = if is_wanted { network.latents("latents", Role::Output)? } else { stream.after(between) };
        layer.push(&mut network, &scratch, latents, between, target)?;
        latents = target;
    }
    if outputs.logits {
        network.decode(latents)?;
    }
    Ok(network.builder.build())
}

/// A network being planned.
struct NetworkPlan<'a> {
    architecture: &'a Architecture,
    batch: u32,
    builder: PlanBuilder,
}

impl NetworkPlan<'_> {
    /// A buffer `[B,L,D]`. What layers add to latents is small beside what is there.
    fn latents(&mut self, name: &str, role: Role) -> Result<View> {
        let axes = [self.batch, self.architecture.latents, self.architecture.channels].map(u64::from);
        let is_scratch = role == Role::Scratch;
        let latents = self.builder.array(name, &axes, role)?;
        if is_scratch {
            self.builder.keep_exact(&[latents.buffer()])?;
        }
        Ok(latents)
    }

    /// The learned latents, after they have attended to the inputs; by what, may be handed out.
    fn encode(&mut self, operands: bool) -> Result<View> {
        let a = self.architecture;
        let source = [self.batch, a.inputs, a.input_channels].map(u64::from);
        let source = self.builder.array("inputs", &source, Role::Input)?;
        self.builder.name_under(a.prefix());
        let [latents, channels] = [a.latents, a.channels].map(u64::from);
        let learned = self.builder.buffer("embeddings.latents", &[latents, channels], Role::Input)?;
        let queries = View::of(learned, &[1, latents, channels]);
        let cross = CrossLayer { layer: a.cross, queries, source, operands };
        cross.push(self, &format!("{}encoder.cross_attention.", a.prefix()))
    }

    /// The layers of a block, as far as they are needed.
    fn own_layers(&mut self, last: u32) -> Result<(Vec<OwnLayer>, OwnScratch)> {
        let needed = self.architecture.layers.min(last.saturating_add(1));
        let prefix = self.architecture.prefix();
        let mut layers = Vec::new();
        for number in 0..needed {
            self.builder.name_under(&format!("{prefix}encoder.self_attends.{number}."));
            layers.push(OwnLayer::of(self)?);
        }
        self.builder.name_under(prefix);
        Ok((layers, OwnScratch::new(self)?))
    }

    /// The classifier: a learned query attends to the latents.
    fn decode(&mut self, latents: View) -> Result<()> {
        let a = self.architecture;
        let Some(Decoder { layer, classes }) = a.decoder else { return Ok(()) };
        let [batch, channels, classes] = [self.batch, a.channels, classes].map(u64::from);
        let name = format!("{}decoder.decoder.", a.prefix());
        self.builder.name_under(&name);
        let positions = "output_position_encodings.position_embeddings";
        let query = self.builder.buffer(positions, &[1, channels], Role::Input)?;
        let queries = View::of(query, &[1, 1, channels]);
        let cross = CrossLayer { layer, queries, source: latents, operands: false };
        let answer = cross.push(self, &format!("{name}decoding_cross_attention."))?;
        self.builder.name_under(&name);
        let last = projection(&mut self.builder, "final_layer", classes, channels, true)?;
        let logits = self.builder.buffer("logits", &[batch, classes], Role::Output)?;
        let (x, y) = (View::of(answer.buffer(), &[1, batch, channels]), View::of(logits, &[1, batch, classes]));
        Product::new("classifier", last).push(&mut self.builder, x, y)
    }
}
