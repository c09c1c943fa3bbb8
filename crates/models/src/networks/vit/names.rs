//! Other names of the tensors of a TimeSformer or ViViT.

use crate::checkpoint::{Naming, Tensors, renamed};

/// Whose names say that clips are normalised otherwise.
pub(super) const MMACTION: &str = "mmaction2";

/// All that are known.
pub(in crate::networks) const NAMINGS: [Naming; 3] = [
    Naming { whose: "TimeSformer's authors", landmark: "patch_embed.proj.weight", translate: of_authors },
    Naming { whose: MMACTION, landmark: "patch_embed.projection.weight", translate: of_mmaction },
    Naming { whose: "transformers 5 in memory", landmark: "embeddings.patch_embeddings.projection.weight", translate: of_memory },
];

/// The beginning of a name by another, and what is left of the name.
fn moved(name: &str, from: &str, to: &str) -> Option<String> {
    name.strip_prefix(from).map(|rest| format!("{to}{rest}"))
}

/// The first of the replacements whose beginning a name has.
fn replaced(name: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(from, to)| moved(name, from, to))
}

/// The number and the rest of a name that begins with this.
fn numbered<'n>(name: &'n str, beginning: &str) -> Option<(&'n str, &'n str)> {
    name.strip_prefix(beginning)?.split_once('.')
}

/// Whether all of these are among the names.
fn has(tensors: &Tensors, names: &[&str]) -> bool {
    names.iter().all(|name| tensors.contains_key(*name))
}

/// `blocks.0.temporal_attn.qkv` and the like (Bertasius et al., the published code's `VisionTransformer`).
fn of_authors(tensors: &Tensors) -> Option<Tensors> {
    let is_flat = tensors.get("patch_embed.proj.weight").is_some_and(|info| info.shape.len() == 4);
    if !is_flat || !has(tensors, &["cls_token", "pos_embed", "time_embed", "blocks.0.attn.qkv.weight"]) {
        return None;
    }
    renamed(tensors, |name| match numbered(name, "blocks.") {
        Some((block, rest)) => {
            let own = [
                ("attn.qkv.", "attention.attention.qkv."),
                ("attn.proj.", "attention.output.dense."),
                ("temporal_attn.qkv.", "temporal_attention.attention.qkv."),
                ("temporal_attn.proj.", "temporal_attention.output.dense."),
                ("temporal_norm1.", "temporal_layernorm."),
                ("temporal_fc.", "temporal_dense."),
                ("norm1.", "layernorm_before."),
                ("norm2.", "layernorm_after."),
                ("mlp.fc1.", "intermediate.dense."),
                ("mlp.fc2.", "output.dense."),
            ];
            replaced(rest, &own).map(|rest| format!("timesformer.encoder.layer.{block}.{rest}"))
        }
        None => around_blocks(name, "patch_embed.proj."),
    })
}

/// `transformer_layers.layers.0.attentions.0.attn.in_proj_weight` and the like.
fn of_mmaction(tensors: &Tensors) -> Option<Tensors> {
    let first = "transformer_layers.layers.0.attentions.0.attn.in_proj_weight";
    if !has(tensors, &["cls_token", "pos_embed", "time_embed", "patch_embed.projection.weight", first]) {
        return None;
    }
    let is_divided = tensors.contains_key("transformer_layers.layers.0.attentions.1.attn.in_proj_weight");
    // Time comes first.
    let (space, time) = if is_divided { ("attentions.1.", Some("attentions.0.")) } else { ("attentions.0.", None) };
    renamed(tensors, |name| match numbered(name, "transformer_layers.layers.") {
        Some((layer, rest)) => {
            let attention = |rest: &str, of: &str, norm: &str| {
                let own = [
                    ("attn.in_proj_", format!("{of}.attention.qkv.")),
                    ("attn.out_proj.", format!("{of}.output.dense.")),
                    ("norm.", format!("{norm}.")),
                    ("temporal_fc.", "temporal_dense.".to_owned()),
                ];
                own.iter().find_map(|(from, to)| moved(rest, from, to))
            };
            let own = [
                ("norms.0.", "layernorm_before."),
                ("norms.1.", "layernorm_after."),
                ("ffns.0.norm.", "layernorm_after."),
                ("ffns.0.layers.0.0.", "intermediate.dense."),
                ("ffns.0.layers.1.", "output.dense."),
            ];
            let rest = match (rest.strip_prefix(space), time.and_then(|time| rest.strip_prefix(time))) {
                (Some(rest), _) => attention(rest, "attention", "layernorm_before"),
                (_, Some(rest)) => attention(rest, "temporal_attention", "temporal_layernorm"),
                _ => replaced(rest, &own),
            };
            rest.map(|rest| format!("timesformer.encoder.layer.{layer}.{rest}"))
        }
        None => around_blocks(name, "patch_embed.projection."),
    })
}

/// What TimeSformers have beside their blocks, by the names of both.
fn around_blocks(name: &str, embedding: &str) -> Option<String> {
    let own = [
        ("cls_token", "timesformer.embeddings.cls_token"),
        ("pos_embed", "timesformer.embeddings.position_embeddings"),
        ("time_embed", "timesformer.embeddings.time_embeddings"),
        (embedding, "timesformer.embeddings.patch_embeddings.projection."),
        ("norm.", "timesformer.layernorm."),
        ("head.", "classifier."),
        ("cls_head.fc_cls.", "classifier."),
    ];
    replaced(name, &own)
}

/// `vivit.layers.0.attention.q_proj` and the like: a ViViT's, as they are before `save_pretrained`.
fn of_memory(tensors: &Tensors) -> Option<Tensors> {
    let prefix = ["vivit.", ""].into_iter().find(|prefix| {
        let embedded = tensors.get(&format!("{prefix}embeddings.patch_embeddings.projection.weight"));
        embedded.is_some_and(|info| info.shape.len() == 5)
            && tensors.contains_key(&format!("{prefix}embeddings.cls_token"))
            && tensors.contains_key(&format!("{prefix}layers.0.attention.q_proj.weight"))
    })?;
    renamed(tensors, |name| {
        let (layer, rest) = numbered(name, &format!("{prefix}layers."))?;
        let own = [
            ("attention.q_proj.", "attention.attention.query."),
            ("attention.k_proj.", "attention.attention.key."),
            ("attention.v_proj.", "attention.attention.value."),
            ("attention.o_proj.", "attention.output.dense."),
            ("mlp.fc1.", "intermediate.dense."),
            ("mlp.fc2.", "output.dense."),
        ];
        let rest = replaced(rest, &own).unwrap_or_else(|| rest.to_owned());
        Some(format!("{prefix}encoder.layer.{layer}.{rest}"))
    })
}
