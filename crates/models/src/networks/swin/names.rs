//! Other names of the tensors of a Swin or Video Swin.
//!
//! In all of them queries, keys and values lie one after the other, tables of biases are those of torchvision, and the four neighbours that are merged come in
//! the order of the upper left, the lower left, the upper right and the lower right one. Only mmpretrain, which unfolds them, has the neighbours of each channel next to each
//! other: its weights are read in the other order.

use super::Dimensions;
use crate::checkpoint::{Naming, TensorInfo, Tensors, renamed};

/// All that are known.
pub(in crate::networks) const NAMINGS: [Naming; 2] = [
    Naming { whose: "Swin's authors, timm or mmaction2", landmark: "patch_embed.proj.weight", translate: of_authors },
    Naming { whose: "mmpretrain", landmark: "patch_embed.projection.weight", translate: of_mmpretrain },
];

/// Stages from 0 that there are.
fn stages(tensors: &Tensors, of: &str) -> usize {
    (0..).take_while(|stage| tensors.contains_key(&format!("{of}.{stage}.blocks.0.norm1.weight"))).count()
}

/// Pictures or clips, by the embedding of patches.
fn dimensions(tensors: &Tensors, embedding: &str) -> Option<Dimensions> {
    match tensors.get(embedding)?.shape.len() {
        4 => Some(Dimensions::Two),
        5 => Some(Dimensions::Three),
        _ => None,
    }
}

/// Torchvision's names of what is not in a stage, and of a stage and the merging ahead of it.
struct Own(Dimensions);

impl Own {
    fn embedding(&self) -> [&'static str; 2] {
        match self.0 {
            Dimensions::Two => ["features.0.0.", "features.0.2."],
            Dimensions::Three => ["patch_embed.proj.", "patch_embed.norm."],
        }
    }

    fn block(&self, stage: usize, rest: &str) -> String {
        format!("features.{}.{rest}", 2 * stage + usize::from(self.0 == Dimensions::Two))
    }

    /// The merging that makes a stage's tokens.
    fn merging(&self, stage: usize, rest: &str) -> Option<String> {
        let place = (2 * stage + usize::from(self.0 == Dimensions::Two)).checked_sub(1)?;
        Some(format!("features.{place}.{rest}"))
    }
}

/// The beginning of a name by another.
fn replaced(name: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// A stage's number, and the rest of the name.
fn in_stage<'n>(name: &'n str, of: &str) -> Option<(usize, &'n str)> {
    let (stage, rest) = name.strip_prefix(of)?.split_once('.')?;
    Some((stage.parse().ok()?, rest))
}

/// `layers.0.blocks.0.attn.qkv` and the like: the published code's, of pictures and of clips, mmaction2's and timm's.
fn of_authors(tensors: &Tensors) -> Option<Tensors> {
    let stages = stages(tensors, "layers");
    if stages == 0 || !tensors.contains_key("layers.0.blocks.0.attn.qkv.weight") {
        return None;
    }
    let own = Own(dimensions(tensors, "patch_embed.proj.weight")?);
    // Merging is the end of a stage in the published code, and the beginning of the next in later timm.
    let is_late = tensors.contains_key("layers.0.downsample.reduction.weight");
    let [embedding, norm] = own.embedding();
    // As mmaction2 calls the last norm.
    let last = format!("norm{}.", stages - 1);
    renamed(tensors, |name| {
        if let Some((stage, rest)) = in_stage(name, "layers.") {
            if let Some(rest) = rest.strip_prefix("downsample.") {
                return own.merging(stage + usize::from(is_late), rest);
            }
            let rest = rest.strip_prefix("blocks.")?;
            return Some(own.block(stage, &rest.replace(".mlp.fc1.", ".mlp.0.").replace(".mlp.fc2.", ".mlp.3.")));
        }
        let around = [
            ("patch_embed.proj.", embedding),
            ("patch_embed.norm.", norm),
            (last.as_str(), "norm."),
            ("head.fc.", "head."),
            ("cls_head.fc_cls.", "head."),
        ];
        replaced(name, &around)
    })
}

/// `stages.0.blocks.0.attn.w_msa.qkv` and the like.
fn of_mmpretrain(tensors: &Tensors) -> Option<Tensors> {
    let stages = stages(tensors, "stages");
    if stages == 0 || !tensors.contains_key("stages.0.blocks.0.attn.w_msa.qkv.weight") {
        return None;
    }
    let own = Own(dimensions(tensors, "patch_embed.projection.weight")?);
    let [embedding, norm] = own.embedding();
    let last = format!("norm{}.", stages - 1);
    let mut renamed = renamed(tensors, |name| {
        if let Some((stage, rest)) = in_stage(name, "stages.") {
            if let Some(rest) = rest.strip_prefix("downsample.") {
                return own.merging(stage + 1, rest);
            }
            let rest = rest.strip_prefix("blocks.")?.replace(".attn.w_msa.", ".attn.");
            return Some(own.block(stage, &rest.replace(".ffn.layers.0.0.", ".mlp.0.").replace(".ffn.layers.1.", ".mlp.3.")));
        }
        let around = [
            ("patch_embed.projection.", embedding),
            ("patch_embed.norm.", norm),
            (last.as_str(), "norm."),
            ("head.fc.", "head."),
            ("cls_head.fc_cls.", "head."),
        ];
        replaced(name, &around)
    })?;
    for stage in 1..stages {
        for rest in ["reduction.weight", "norm.weight", "norm.bias"] {
            let merging = own.merging(stage, rest)?;
            let info = renamed.get_mut(&merging)?;
            *info = folded(info)?;
        }
    }
    Some(renamed)
}

/// The neighbours of each channel, row by row, as the channels of each neighbour, column by column.
fn folded(info: &TensorInfo) -> Option<TensorInfo> {
    let channels = info.shape.last()? / 4;
    info.reordered(&[(2, 1), (2, 2), (channels, 4)])
}
