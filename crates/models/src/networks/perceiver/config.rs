//! Perceivers as Hugging Face's library saves them.

use orthoformer::kernel::Activation;
use orthoformer::{Error, Result};

use super::{Architecture, Decoder, Layer, Pixels};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, agreed, needless};
use crate::hf_config::{self, HfConfig, same};
use crate::networks::{Reader, has_any, size};
use crate::{IMAGENET_MEAN, IMAGENET_STD};

/// Every so manieth frame of 30 a second, where a clip is shown.
const RATE: u32 = 2;

/// Of Perceivers.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[("perceiver", "Perceiver")],
    landmarks: &LANDMARKS,
    recognise: |checkpoint| has_any(checkpoint, &LANDMARKS),
    read: |checkpoint, overrides| hf_config::read(checkpoint, overrides, config),
    processor: |_| Some("Perceiver"),
    has_presets: false,
};

/// The latents, by which a checkpoint is told.
const LANDMARKS: [&str; 2] = ["perceiver.embeddings.latents", "embeddings.latents"];

/// The configuration of a checkpoint in this naming.
fn config(checkpoint: &Checkpoint, overrides: &Overrides, hf: &HfConfig) -> Result<Config> {
    hf.is_of("perceiver")?;
    for (what, said) in [("frames", overrides.frames), ("crop", overrides.crop)] {
        if let Some(said) = said {
            return Err(needless(what, &said.to_string(), "clips of any size: its inputs say what they are made of"));
        }
    }
    let architecture = architecture(checkpoint, hf, overrides)?;
    let protocol = overrides.protocol(RATE, IMAGENET_MEAN, IMAGENET_STD);
    let labels = hf.labels(architecture.decoder.map(|decoder| decoder.classes))?;
    let is_of_frames = architecture.pixels() == Some(Pixels::Video);
    let assumed = overrides.assumed_rate(&protocol).filter(|_| is_of_frames).into_iter().collect();
    Ok(Config { network: Box::new(architecture), protocol, labels, assumed })
}

/// A checkpoint's tensors.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
    prefix: &'static str,
}

impl Tensors<'_> {
    /// The two axes of a matrix.
    fn matrix(&self, name: &str) -> Result<[u32; 2]> {
        let name = format!("{}{name}", self.prefix);
        match self.checkpoint.info(&name).map(|info| info.shape.as_slice()) {
            Some(&[rows, columns]) => Ok([size(rows), size(columns)]),
            Some(found) => Err(self.wrong(&name, &format!("has shape {found:?}"))),
            None => Err(self.wrong(&name, "is missing")),
        }
    }

    fn wrong(&self, name: &str, found: &str) -> Error {
        let reason = format!("not a Perceiver: tensor {name:?} {found}; expected a matrix");
        Error::Contents { path: self.checkpoint.path().to_owned(), reason }
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.info(&format!("{}{name}", self.prefix)).is_some()
    }

    fn layer(&self, name: &str, heads: u32, query_residual: bool) -> Result<Layer> {
        let [keys, _] = self.matrix(&format!("{name}.attention.self.key.weight"))?;
        let [values, _] = self.matrix(&format!("{name}.attention.self.value.weight"))?;
        let [hidden, _] = self.matrix(&format!("{name}.mlp.dense1.weight"))?;
        Ok(Layer { heads, keys, values, hidden, query_residual })
    }
}

fn architecture(checkpoint: &Checkpoint, hf: &HfConfig, overrides: &Overrides) -> Result<Architecture> {
    let has_family_names = checkpoint.info("perceiver.embeddings.latents").is_some();
    let tensors = Tensors { checkpoint, prefix: if has_family_names { "perceiver." } else { "" } };
    let said = |key: &'static str, said: Option<u32>| {
        said.ok_or_else(|| Error::Metadata { key, found: "missing".to_owned(), expected: "a number in config.json".to_owned() })
    };
    let [latents, channels] = tensors.matrix("embeddings.latents")?;
    let cross = "encoder.cross_attention";
    let [_, input_channels] = tensors.matrix(&format!("{cross}.attention.self.key.weight"))?;
    let layers = (0..).take_while(|layer| tensors.has(&format!("encoder.self_attends.{layer}.layernorm.weight"))).count();
    let heads = agreed("heads", overrides.heads, hf.num_self_attention_heads, u32::to_string)?;
    let cross_heads = said("num_cross_attention_heads", hf.num_cross_attention_heads)?;
    let decoder = "decoder.decoder.decoding_cross_attention";
    let classes = match tensors.has(&format!("{decoder}.attention.self.key.weight")) {
        true => Some(tensors.matrix("decoder.decoder.final_layer.weight")?[0]),
        false => None,
    };
    let classifier = |classes| Ok(Decoder { layer: tensors.layer(decoder, 1, true)?, classes });
    // A classifier makes its inputs itself, and the library takes no notice of what is said about them.
    let said_channels = hf.d_model.filter(|_| classes.is_none());
    let input_channels = same("d_model", said_channels, input_channels)?;
    let pixels = [Pixels::Picture, Pixels::Video].into_iter().find(|pixels| pixels.channels() == input_channels);
    Ok(Architecture {
        has_family_names,
        // Of others than these the inputs that are given say how many there are.
        inputs: pixels.map_or(1, Pixels::inputs),
        input_channels,
        latents: same("num_latents", hf.num_latents, latents)?,
        channels: same("d_latents", hf.d_latents, channels)?,
        cross: tensors.layer(cross, cross_heads, hf.use_query_residual.unwrap_or(true))?,
        own: tensors.layer("encoder.self_attends.0", said("num_self_attention_heads", heads)?, true)?,
        blocks: said("num_blocks", hf.num_blocks)?,
        layers: same("num_self_attends_per_block", hf.num_self_attends_per_block, size(layers))?,
        activation: hf.activation(Activation::Gelu)?,
        decoder: classes.map(classifier).transpose()?,
    })
}
