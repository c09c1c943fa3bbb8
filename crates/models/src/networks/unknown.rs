//! What a checkpoint is that holds none of the networks there are, in words.

use serde::Deserialize;

use super::Reader;
use crate::checkpoint::Checkpoint;

/// What a name of a tensor has that gives away other models.
#[derive(Clone, Copy)]
enum Sign {
    /// A name that begins with this.
    Begins(&'static str),
    /// A name with this in it.
    Has(&'static str),
}

/// Other models by the names of their tensors, the surest first.
const OTHERS: [(Sign, &str); 30] = [
    (Sign::Has(".lora_A."), LORA),
    (Sign::Has(".lora_down."), LORA),
    (Sign::Begins("lora_"), LORA),
    (Sign::Begins("model.diffusion_model."), "a Stable Diffusion"),
    (Sign::Begins("first_stage_model."), "a Stable Diffusion"),
    (Sign::Begins("down_blocks.0."), "a U-Net of diffusers"),
    (Sign::Has(".cv1.conv.weight"), "a YOLO"),
    (Sign::Begins("videomae."), "a VideoMAE of Hugging Face"),
    (Sign::Has("blocks.0.attn.q_bias"), "a VideoMAE of its authors"),
    (Sign::Begins("vjepa2."), "a V-JEPA 2 of Hugging Face"),
    (Sign::Has("predictor_blocks.0."), "a V-JEPA of its authors"),
    (Sign::Has("visual.transformer.resblocks."), "a CLIP"),
    (Sign::Has("text_model.encoder."), "a CLIP"),
    (Sign::Begins("vit."), "a ViT of Hugging Face, for pictures"),
    (Sign::Begins("swin."), "a Swin of Hugging Face; those of torchvision, timm and the authors are read"),
    (
        Sign::Has(".attention.self.relative_position_bias_table"),
        "a Swin of Hugging Face; those of torchvision, timm and the authors are read",
    ),
    (Sign::Begins("transformer.h.0."), "a language model"),
    (Sign::Has("layers.0.self_attn.q_proj.weight"), "a language model"),
    (Sign::Begins("bert."), "a BERT"),
    (Sign::Has("blocks.0.attn.pool_q.weight"), "an MViT"),
    (Sign::Has("pathway0_stem."), "a SlowFast"),
    (Sign::Has("multipathway_blocks."), "a SlowFast"),
    (Sign::Has(".conv.conv_t.weight"), "an X3D"),
    (Sign::Has("Conv3d_1a_7x7."), "an I3D"),
    (Sign::Has("Mixed_3b."), "an I3D"),
    (Sign::Has("blocks.0.ls1.gamma"), "a DINOv2"),
    (Sign::Has("layer1.0.conv1.0.weight"), "an R(2+1)D or another ResNet of clips"),
    (Sign::Has("layer1.0.conv1.weight"), "a ResNet"),
    (Sign::Has("exp_avg"), "the state of an optimizer"),
    (Sign::Has("blocks.0.attn.qkv.weight"), "a ViT for pictures, or one of clips that has no positions in time"),
];
const LORA: &str = "a LoRA adapter: it changes the weights of another model; merge it into that and save the whole";

/// What of a `config.json` says whose it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    /// As timm calls it.
    architecture: Option<String>,
}

/// What a checkpoint holds, as far as it can be told, and which networks are read.
pub(super) fn describe(checkpoint: &Checkpoint) -> String {
    let kind = kind_of(checkpoint);
    if let Some(reason) = misnamed(checkpoint, &kind) {
        return reason;
    }
    let by_names = OTHERS.iter().find(|(sign, _)| checkpoint.tensors().any(|(name, _)| sign.is_in(name)));
    let what = match (by_config(kind), by_names) {
        (Some(what), _) => what,
        (None, Some((_, what))) => (*what).to_owned(),
        (None, None) => format!("a checkpoint of no network that can be told by its tensors: {}", names(checkpoint)),
    };
    let mut read: Vec<&str> = Reader::all().flat_map(|reader| reader.kinds.iter().map(|(_, name)| *name)).collect();
    let last = read.pop().unwrap_or_default();
    format!("{what}; networks that are read are {} and {last}", read.join(", "))
}

/// A few names of a checkpoint's tensors, and how many more there are.
fn names(checkpoint: &Checkpoint) -> String {
    let mut names: Vec<String> = checkpoint.tensors().take(6).map(|(name, _)| format!("{name:.80?}")).collect();
    let more = checkpoint.tensors().count() - names.len();
    names.extend((more > 0).then(|| format!("{more} more")));
    names.join(", ")
}

/// That the description says one of the networks that are read, whose tensors these are not.
fn misnamed(checkpoint: &Checkpoint, kind: &Kind) -> Option<String> {
    let said = kind.model_type.as_deref()?;
    let reader = Reader::all().find(|reader| reader.kinds.iter().any(|(kind, _)| *kind == said))?;
    let of_family = reader.landmarks.iter().find(|name| name.starts_with(&format!("{said}.")));
    let landmark = of_family.or(reader.landmarks.first())?;
    let names = names(checkpoint);
    Some(format!("its config.json says {said:?}, but its tensors are named {names}; expected names such as {landmark:?}"))
}

impl Sign {
    fn is_in(self, name: &str) -> bool {
        match self {
            Self::Begins(text) => name.starts_with(text),
            Self::Has(text) => name.contains(text),
        }
    }
}

/// What the description beside says that it is, if it says it.
fn kind_of(checkpoint: &Checkpoint) -> Kind {
    let text = checkpoint.description().ok().flatten();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The same in words.
fn by_config(kind: Kind) -> Option<String> {
    let class = kind.architectures.iter().flatten().next().or(kind.architecture.as_ref());
    match (kind.model_type, class) {
        (Some(model), Some(class)) => Some(format!("by its config.json a {model:.80?} ({class:.80})")),
        (Some(model), None) => Some(format!("by its config.json a {model:.80?}")),
        (None, Some(class)) => Some(format!("by its config.json a {class:.80?}")),
        (None, None) => None,
    }
}
