//! TimeSformer and ViViT as Hugging Face's library saves them: structure and positions.

use orthoformer::kernel::Activation;
use orthoformer::ops::network::Architecture;
use orthoformer::ops::vit::{self, Kind};
use orthoformer::{Error, Result, Tensor};

use super::config::{Config, Known, agreed, open};
use super::described::{Described, same};
use super::shapes::{size, square_root};
use crate::checkpoint::Checkpoint;

/// What a TimeSformer of 8 frames was trained to take of a clip of 30 frames a second: every so manieth.
const TIMESFORMER_RATE: u32 = 32;
/// The same of ViViT.
const VIVIT_RATE: u32 = 2;

/// A checkpoint's tensors, without the family's name before theirs.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
    prefix: &'static str,
}

impl<'c> Tensors<'c> {
    fn of(checkpoint: &'c Checkpoint) -> Self {
        let is_there = |prefix: &&str| checkpoint.info(&format!("{prefix}embeddings.cls_token")).is_some();
        Self { checkpoint, prefix: ["timesformer.", "vivit."].into_iter().find(is_there).unwrap_or("") }
    }

    fn shape(&self, name: &str) -> Option<&'c [usize]> {
        self.checkpoint.info(&format!("{}{name}", self.prefix)).map(|info| info.shape.as_slice())
    }

    fn layer(&self, layer: usize, name: &str) -> Option<&'c [usize]> {
        self.shape(&format!("encoder.layer.{layer}.{name}"))
    }

    fn wrong(&self, name: &str, found: Option<&[usize]>, expected: &str) -> Error {
        let found = found.map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
        let reason =
            format!("not a TimeSformer or ViViT: tensor {:?} {found}; expected {expected}", format!("{}{name}", self.prefix));
        Error::Contents { path: self.checkpoint.path().to_owned(), reason }
    }
}

/// The configuration of a checkpoint in this naming.
pub(super) fn read(checkpoint: &Checkpoint, known: &Known) -> Result<Config> {
    let (tensors, described) = (Tensors::of(checkpoint), Described::of(checkpoint)?);
    let kind = kind(&tensors, &described)?;
    let architecture = architecture(&tensors, &described, known, kind)?;
    let usual = if kind == Kind::Vivit { VIVIT_RATE } else { TIMESFORMER_RATE };
    let (mean, std) = if kind == Kind::Vivit { ([0.5; 3], [0.5; 3]) } else { ([0.45; 3], [0.225; 3]) };
    let protocol = known.protocol(usual, mean, std);
    let labels = described.labels(architecture.classes)?;
    let assumed = known.assumed_rate(&protocol).into_iter().collect();
    Ok(Config { architecture: Architecture::Vit(architecture), protocol, labels, assumed })
}

/// Which network it is, and what attends to what.
fn kind(tensors: &Tensors<'_>, described: &Described) -> Result<Kind> {
    let shown = match tensors.shape("embeddings.patch_embeddings.projection.weight") {
        Some([_, _, _, _, _]) => Kind::Vivit,
        _ if tensors.layer(0, "temporal_dense.weight").is_some() => Kind::TimeSformerDivided,
        _ => Kind::TimeSformerJoint,
    };
    described.is_of(shown.family())?;
    let attention = match shown {
        Kind::Vivit => return Ok(shown),
        Kind::TimeSformerDivided => "divided_space_time",
        Kind::TimeSformerJoint => "joint_space_time",
    };
    if described.attention_type.as_deref() == Some("space_only") {
        let expected = "\"divided_space_time\" or \"joint_space_time\": attention within frames alone is not there".to_owned();
        return Err(Error::Metadata { key: "attention_type", found: "\"space_only\"".to_owned(), expected });
    }
    same("attention_type", described.attention_type.as_deref(), attention)?;
    Ok(shown)
}

fn architecture(tensors: &Tensors<'_>, described: &Described, known: &Known, kind: Kind) -> Result<vit::Architecture> {
    let (channels, patch) = embedding(tensors, described, kind)?;
    let hidden = match tensors.layer(0, "intermediate.dense.weight") {
        Some(&[hidden, _]) => size(hidden),
        found => return Err(tensors.wrong("encoder.layer.0.intermediate.dense.weight", found, "[hidden, channels]")),
    };
    let depth = (0..).take_while(|&layer| tensors.layer(layer, "layernorm_before.weight").is_some()).count();
    let heads = agreed("heads", known.heads, described.num_attention_heads, u32::to_string)?;
    let classes = match tensors.checkpoint.info("classifier.weight").map(|info| info.shape.as_slice()) {
        None => None,
        Some(&[classes, _]) => Some(size(classes)),
        found => return Err(tensors.wrong("classifier.weight", found, "[classes, channels]")),
    };
    let bias = if kind == Kind::Vivit { "attention.attention.query.bias" } else { "attention.attention.qkv.bias" };
    let [frames, height, width] = clip(tensors, described, known, (kind, patch))?;
    // As the library has it for each.
    let usual = if kind == Kind::Vivit { Activation::GeluFast } else { Activation::Gelu };
    Ok(vit::Architecture {
        kind,
        has_family_names: !tensors.prefix.is_empty(),
        frames,
        height,
        width,
        patch,
        channels: same("hidden_size", described.hidden_size, channels)?,
        heads: heads.ok_or_else(|| open("heads", "how many attention heads there are"))?,
        depth: same("num_hidden_layers", described.num_hidden_layers, size(depth))?,
        hidden: same("intermediate_size", described.intermediate_size, hidden)?,
        activation: described.activation(usual)?,
        epsilon: epsilon(described)?,
        qkv_bias: tensors.layer(0, bias).is_some(),
        classes: classes.map(|classes| same("num_labels", described.num_labels, classes)).transpose()?,
    })
}

fn epsilon(described: &Described) -> Result<f32> {
    let epsilon = described.layer_norm_eps.unwrap_or(1e-6);
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(epsilon);
    }
    let expected = "a small number above zero".to_owned();
    Err(Error::Metadata { key: "layer_norm_eps", found: epsilon.to_string(), expected })
}

/// Channels, and the size of patches.
fn embedding(tensors: &Tensors<'_>, described: &Described, kind: Kind) -> Result<(u32, [u32; 3])> {
    let name = "embeddings.patch_embeddings.projection.weight";
    let (channels, colours, patch) = match tensors.shape(name) {
        Some(&[channels, colours, depth, height, width]) => (channels, colours, [depth, height, width].map(size)),
        Some(&[channels, colours, height, width]) => (channels, colours, [1, size(height), size(width)]),
        found => return Err(tensors.wrong(name, found, "[channels, 3, (frames,) height, width]")),
    };
    same("num_channels", described.num_channels, 3)?;
    if colours != 3 {
        return Err(tensors.wrong(name, tensors.shape(name), "three colours"));
    }
    if kind == Kind::Vivit {
        same("tubelet_size", described.tubelet_size.as_deref(), patch.as_slice())?;
    } else if let Some(said) = &described.patch_size {
        same("patch_size", Some(said.axes::<2>("patch_size")?), [patch[1], patch[2]])?;
    }
    Ok((size(channels), patch))
}

/// Frames, height and width of clips: those that positions were trained for, unless something else is wanted.
fn clip(tensors: &Tensors<'_>, described: &Described, known: &Known, (kind, patch): (Kind, [u32; 3])) -> Result<[u32; 3]> {
    let name = "embeddings.position_embeddings";
    let rows = match tensors.shape(name) {
        Some(&[1, rows, _]) if rows > 1 => size(rows - 1),
        found => return Err(tensors.wrong(name, found, "[1, 1 + patches, channels]")),
    };
    let image = described.image_size.as_ref().map(|said| said.axes::<2>("image_size")).transpose()?;
    let divided = |size: u32, part: u32| size.checked_div(part).unwrap_or(0);
    if kind == Kind::Vivit {
        let frames = agreed("frames", known.frames, described.num_frames, u32::to_string)?.unwrap_or(32);
        agreed("crop", known.crop, image.map(|[height, _]| height), u32::to_string)?;
        let [height, width] = image.unwrap_or([known.crop.unwrap_or(224); 2]);
        let patches = [divided(frames, patch[0]), divided(height, patch[1]), divided(width, patch[2])];
        let patches = patches.iter().fold(1u32, |all, &size| all.saturating_mul(size));
        if patches != rows && image.is_none() && described.num_frames.is_none() {
            return Err(match (known.frames, known.crop) {
                (None, _) => {
                    open("frames", "how many frames a clip has: with --crop they make the patches that positions are for")
                }
                (Some(_), None) => open("crop", "height of a clip: with --frames it makes the patches that positions are for"),
                (Some(frames), Some(crop)) => {
                    let (given, expected) = (format!("{frames} of {crop} x {crop} pixels"), format!("{rows} patches of them"));
                    Error::Argument { what: "frames and crop", given, expected }
                }
            });
        }
        same("num_frames and image_size, by the patches that they make", Some(patches), rows)?;
        return Ok([frames, height, width]);
    }
    let side = square_root(rows as usize).map(|side| side.saturating_mul(patch[1]));
    if let Some([height, width]) = image {
        let patches = divided(height, patch[1]).saturating_mul(divided(width, patch[2]));
        same("image_size, by the patches that it makes", Some(patches), rows)?;
    }
    let [height, width] = match (known.crop, image, side) {
        (Some(crop), ..) => [crop; 2],
        (None, Some(image), _) => image,
        (None, None, Some(side)) => [side; 2],
        (None, None, None) => return Err(open("crop", "height of a clip in pixels")),
    };
    let times = match tensors.shape("embeddings.time_embeddings") {
        Some(&[1, times, _]) => size(times),
        found => return Err(tensors.wrong("embeddings.time_embeddings", found, "[1, frames, channels]")),
    };
    same("num_frames", described.num_frames, times)?;
    Ok([known.frames.unwrap_or(times), height, width])
}

/// What is added to every token, `[1+N, C]`: in row 0 the class token and its position, in the others the embedding's bias and the positions of place and
/// time. A TimeSformer's places and times are resized to those of the clip: the nearest is taken, as in the library.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub(super) fn positions(checkpoint: &Checkpoint, architecture: &vit::Architecture) -> Result<Tensor> {
    let c = architecture.channels as usize;
    let [frames, rows, columns] = architecture.grid()?.map(|size| size as usize);
    let prefix = architecture.prefix();
    let named = |name: &str| format!("{prefix}embeddings.{name}");
    let read = |name: &str, expected: Vec<usize>| -> Result<Vec<f32>> {
        let tensor = checkpoint.read(&named(name))?;
        if tensor.shape() != expected {
            let (found, expected) = (tensor.shape().to_vec(), format!("{expected:?}"));
            return Err(Error::WrongShape { name: named(name), found, expected });
        }
        Ok(tensor.into_data())
    };
    let rows_of = |name: &str| match checkpoint.info(&named(name)).map(|info| info.shape.as_slice()) {
        Some(&[1, rows, _]) => rows,
        // Missing, or of another shape: reading says so.
        _ => 1,
    };
    let class = read("cls_token", vec![1, 1, c])?;
    let bias = read("patch_embeddings.projection.bias", vec![c])?;
    let trained = rows_of("position_embeddings");
    let places = read("position_embeddings", vec![1, trained, c])?;
    let (own, places) = places.split_at(c);
    let mut table: Vec<f32> = own.iter().zip(&class).map(|(a, b)| a + b).collect();
    let patches = frames * rows * columns;
    let row_of = |numbers: &[f32], row: usize| numbers.get(row * c..(row + 1) * c).map(<[f32]>::to_vec).unwrap_or_default();
    if architecture.kind == Kind::Vivit {
        if trained != 1 + patches {
            let (found, expected) = (vec![1, trained, c], format!("[1, {}, {c}]", 1 + patches));
            return Err(Error::WrongShape { name: named("position_embeddings"), found, expected });
        }
        (0..patches).for_each(|patch| table.extend(row_of(places, patch).iter().zip(&bias).map(|(a, b)| a + b)));
        return Tensor::new(vec![1 + patches, c], table);
    }
    let trained_times = rows_of("time_embeddings");
    let times = read("time_embeddings", vec![1, trained_times, c])?;
    let place = nearest_places(trained - 1, [rows, columns]).ok_or_else(|| Error::WrongShape {
        name: named("position_embeddings"),
        found: vec![1, trained, c],
        expected: "places of a square grid, to be resized to another".to_owned(),
    })?;
    for frame in 0..frames {
        let time = row_of(&times, nearest(frame, trained_times, frames));
        for &from in &place {
            let sum = row_of(places, from).into_iter().zip(&time).zip(&bias);
            table.extend(sum.map(|((place, time), bias)| (f64::from(place) + f64::from(*time) + f64::from(*bias)) as f32));
        }
    }
    Tensor::new(vec![1 + patches, c], table)
}

/// For each place of a grid the nearest of those that were trained, on a square grid unless it is the same.
fn nearest_places(trained: usize, [rows, columns]: [usize; 2]) -> Option<Vec<usize>> {
    if trained == rows * columns {
        return Some((0..trained).collect());
    }
    let side = square_root(trained)? as usize;
    let place = |place: usize| nearest(place / columns, side, rows) * side + nearest(place % columns, side, columns);
    Some((0..rows * columns).map(place).collect())
}

/// The nearest of `from` places to one of `to`, with PyTorch's float32 factor, which now and then takes the one before.
fn nearest(place: usize, from: usize, to: usize) -> usize {
    let factor = from as f32 / to as f32;
    ((place as f32 * factor) as usize).min(from.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_is_the_library_s() {
        assert_eq!((0..6).map(|place| nearest(place, 4, 6)).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3]);
        // Half way in numbers, a hair before it in float32.
        assert_eq!(nearest(23, 14, 46), 6);
        assert_eq!(nearest_places(4, [2, 3]), Some(vec![0, 0, 1, 2, 2, 3]));
        assert_eq!(nearest_places(6, [2, 3]), Some((0..6).collect()));
        assert_eq!(nearest_places(6, [2, 2]), None);
    }
}
