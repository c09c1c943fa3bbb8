//! What the tensors of a Motionformer's checkpoint say about it.

use orthoformer::{Error, Result};

use crate::checkpoint::Checkpoint;
use crate::networks::{size, square_root};

/// Sizes that shapes of tensors give away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shapes {
    pub channels: u32,
    pub depth: u32,
    pub hidden: u32,
    pub patch: u32,
    pub patch_depth: u32,
    /// Frames of patches, where position embeddings say it.
    pub frames: Option<u32>,
    /// Patches along a side that positions were trained for, where their number is a square.
    pub side: Option<u32>,
    pub qkv_bias: bool,
    pub has_time_attention: bool,
    pub has_second_queries: bool,
    pub has_hidden_head: bool,
    pub classes: Vec<u32>,
}

impl Shapes {
    /// # Errors
    /// [`Error::Contents`] for checkpoints of other networks.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let shape = |name: &str| checkpoint.info(name).map(|info| info.shape.as_slice());
        let wrong = |name, found, expected| wrong(checkpoint, name, found, expected);
        let channels = match shape("cls_token") {
            Some(&[1, 1, channels]) => size(channels),
            found => return Err(wrong("cls_token", found, "[1, 1, channels]")),
        };
        let (patch_depth, patch) = match (shape("patch_embed_3d.proj.weight"), shape("patch_embed.proj.weight")) {
            (Some(&[_, 3, depth, patch, across]), _) if patch == across => (size(depth), size(patch)),
            (None, Some(&[_, 3, patch, across])) if patch == across => (1, size(patch)),
            (Some(found), _) => {
                return Err(wrong("patch_embed_3d.proj.weight", Some(found), "[channels, 3, frames, side, side]"));
            }
            (None, found) => return Err(wrong("patch_embed.proj.weight", found, "[channels, 3, side, side]")),
        };
        let hidden = match shape("blocks.0.mlp.fc1.weight") {
            Some(&[hidden, _]) => size(hidden),
            found => return Err(wrong("blocks.0.mlp.fc1.weight", found, "[hidden, channels]")),
        };
        let depth = (0..).take_while(|block| shape(&format!("blocks.{block}.norm1.weight")).is_some()).count();
        let patches = match shape("pos_embed") {
            Some(&[1, rows, _]) if rows > 1 => rows - 1,
            found => return Err(wrong("pos_embed", found, "[1, 1 + patches, channels]")),
        };
        let frames = match (shape("temp_embed"), shape("st_embed")) {
            (Some(&[1, frames, _]), _) => Some(size(frames)),
            (_, Some(&[1, rows, _])) if rows > 1 && (rows - 1) % patches == 0 => Some(size((rows - 1) / patches)),
            _ => None,
        };
        let classes = classes(checkpoint)?;
        Ok(Self {
            channels,
            depth: size(depth),
            hidden,
            patch,
            patch_depth,
            frames,
            side: square_root(patches),
            qkv_bias: shape("blocks.0.attn.qkv.bias").is_some(),
            has_time_attention: shape("blocks.0.timeattn.qkv.weight").is_some(),
            has_second_queries: shape("blocks.0.attn.proj_q.weight").is_some(),
            has_hidden_head: shape("pre_logits.fc.weight").is_some(),
            classes,
        })
    }
}

/// Classes of each head: `head`, or `head0`, `head1` and so on.
fn classes(checkpoint: &Checkpoint) -> Result<Vec<u32>> {
    let classes = |name: &str| match checkpoint.info(name).map(|info| info.shape.as_slice()) {
        None => Ok(None),
        Some(&[classes, _]) => Ok(Some(size(classes))),
        found => Err(wrong(checkpoint, name, found, "[classes, channels]")),
    };
    if let Some(only) = classes("head.weight")? {
        return Ok(vec![only]);
    }
    let mut several = Vec::new();
    while let Some(next) = classes(&format!("head{}.weight", several.len()))? {
        several.push(next);
    }
    match several.len() {
        0 | 1 => Err(wrong(checkpoint, "head.weight", None, "a classifier, or two as head0 and head1")),
        _ => Ok(several),
    }
}

fn wrong(checkpoint: &Checkpoint, name: &str, found: Option<&[usize]>, expected: &str) -> Error {
    let found = found.map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
    let reason = format!("not a Motionformer: tensor {name:?} {found}; expected {expected}");
    Error::Contents { path: checkpoint.path().to_owned(), reason }
}
