//! Conformance cases: safetensors files whose metadata names an operation, with its inputs and what it should make of them.
//!
//! | metadata | values |
//! | --- | --- |
//! | `op` | `trajectories`, `layer` |
//! | `approximation` | `exact` (trajectories) |
//! | `frames`, `heads` | whole numbers |
//! | `attention` | `trajectory`, `joint`, `divided_space`, `divided_time` (layer) |
//! | `temporal_value` | `projected`, `identity` (trajectory layer) |
//! | `class_token` | `true` (if missing), `false` (layer) |
//!
//! Tensors named `expected.NAME` are what the output `NAME` should be. The operations' inputs are described in [`crate::ops`].

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, TemporalValue};
use crate::shape::Shape;
use crate::tensor::{Tensor, Tensors, missing};

/// A case: an operation, its inputs, and the outputs that are expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation that the metadata names.
    pub operation: Operation,
    /// Every tensor that is not expected output.
    pub inputs: Tensors,
    /// Expected outputs, by the output's name.
    pub expected: Tensors,
    /// Tensors whose element type is not a float, with that type: not read. The operation does not need them as inputs, but they
    /// may be expected outputs.
    pub unread: BTreeMap<String, String>,
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// [`Error::File`], and those of [`Case::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::file("read", path))?;
        if !kind.is_file() {
            return Err(Error::Contents { path: path.to_owned(), reason: "not a regular file".to_owned() });
        }
        let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
        Self::parse(path, &bytes)
    }

    /// Reads a case from the bytes of a safetensors file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Contents`] if the bytes are no safetensors file, [`Error::WrongType`], [`Error::MissingTensor`], [`Error::WrongShape`],
    /// [`Error::Metadata`], and those of [`Shape::new`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |error: safetensors::SafeTensorError| Error::Contents {
            path: path.to_owned(),
            reason: format!("not a safetensors file, or a damaged one ({} bytes): {error}", bytes.len()),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (mut inputs, mut expected, mut unread) = (Tensors::new(), Tensors::new(), BTreeMap::new());
        for (name, view) in file.tensors() {
            match (numbers(&view), name.strip_prefix("expected.")) {
                (Some(data), Some(output)) => expected.insert(output.to_owned(), Tensor::new(view.shape().to_vec(), data)?),
                (Some(data), None) => inputs.insert(name, Tensor::new(view.shape().to_vec(), data)?),
                (None, _) => {
                    unread.insert(name, format!("{:?}", view.dtype()));
                    None
                }
            };
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        if let Some((name, found)) = unread.iter().find(|(name, _)| is_input(name)) {
            return Err(Error::WrongType { name: name.clone(), found: found.clone(), expected: "F32, F16 or BF16" });
        }
        let operation = operation(&metadata, &inputs)?;
        Ok(Self { operation, inputs, expected, unread })
    }
}

/// Writes tensors as a safetensors file: whole, or not at all.
///
/// # Errors
/// [`Error::File`].
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let views = tensors.iter().map(|(name, tensor)| {
        let bytes = bytemuck::cast_slice(tensor.data());
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytes);
        Ok((name.clone(), view.map_err(|error| Error::Contents { path: path.to_owned(), reason: error.to_string() })?))
    });
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)
        .map_err(|error| Error::Contents { path: path.to_owned(), reason: error.to_string() })?;
    write_whole(path, &bytes)
}

/// Whether operations take a tensor of this name.
fn is_input(name: &str) -> bool {
    ["q", "k", "v", "x"].contains(&name) || name.ends_with(".weight") || name.ends_with(".bias")
}

/// The tensor's numbers as float32; `None` for other elements than floats.
fn numbers(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(bytes)),
        Dtype::F16 => Some(bytemuck::pod_collect_to_vec::<_, half::f16>(bytes).into_iter().map(f32::from).collect()),
        Dtype::BF16 => Some(bytemuck::pod_collect_to_vec::<_, half::bf16>(bytes).into_iter().map(f32::from).collect()),
        _ => None,
    }
}

type Metadata = HashMap<String, String>;

fn operation(metadata: &Metadata, inputs: &Tensors) -> Result<Operation> {
    match one_of(metadata, "op", &["trajectories", "layer"], None)? {
        "trajectories" => {
            one_of(metadata, "approximation", &["exact"], Some("exact"))?;
            Ok(Operation::Trajectories(trajectories_shape(metadata, inputs)?))
        }
        _ => Ok(Operation::Layer(layer(metadata, inputs)?)),
    }
}

/// `q [B,H,N,D]` and the number of frames.
fn trajectories_shape(metadata: &Metadata, inputs: &Tensors) -> Result<Shape> {
    let [batch, heads, tokens, size] = sizes(inputs, "q", "[batch, heads, tokens, head size]")?;
    let frames = number(metadata, "frames")?;
    Shape::new(batch, heads, frames, divide("tokens", tokens, "frames", frames)?, size)
}

/// `x [B,T,C]`, frames and heads, and which weights there are.
fn layer(metadata: &Metadata, inputs: &Tensors) -> Result<LayerSpec> {
    let [batch, sequence, channels] = sizes(inputs, "x", "[batch, tokens, channels]")?;
    let (frames, heads) = (number(metadata, "frames")?, number(metadata, "heads")?);
    let class_token = one_of(metadata, "class_token", &["true", "false"], Some("true"))? == "true";
    let tokens = sequence.saturating_sub(usize::from(class_token));
    let what = if class_token { "tokens without the class token" } else { "tokens" };
    let patches = divide(what, tokens, "frames", frames)?;
    let shape = Shape::new(batch, heads, frames, patches, divide("channels", channels, "heads", heads)?)?;
    let attentions = ["trajectory", "joint", "divided_space", "divided_time"];
    let attention = match one_of(metadata, "attention", &attentions, None)? {
        "joint" => LayerAttention::Joint,
        "divided_space" => LayerAttention::DividedSpace,
        "divided_time" => LayerAttention::DividedTime,
        _ => LayerAttention::Trajectory(match one_of(metadata, "temporal_value", &["projected", "identity"], None)? {
            "projected" => TemporalValue::Projected,
            _ => TemporalValue::Identity,
        }),
    };
    let has = |name: &str| inputs.contains_key(name);
    let biases =
        Biases { qkv: has("qkv.bias"), proj_q: has("proj_q.bias"), proj_kv: has("proj_kv.bias"), proj: has("proj.bias") };
    let tokens = matches!(attention, LayerAttention::Trajectory(_));
    let outputs = LayerOutputs { tokens, ..LayerOutputs::default() };
    Ok(LayerSpec { shape, attention, class_token, biases, outputs })
}

fn sizes<const AXES: usize>(inputs: &Tensors, name: &str, expected: &str) -> Result<[usize; AXES]> {
    let tensor = inputs.get(name).ok_or_else(|| missing(name, inputs))?;
    let found = tensor.shape().to_vec();
    found.try_into().map_err(|found| Error::WrongShape { name: name.to_owned(), found, expected: expected.to_owned() })
}

fn divide(what: &'static str, given: usize, divisor_name: &'static str, divisor: usize) -> Result<usize> {
    if divisor == 0 {
        return Err(Error::ZeroSize { what: divisor_name });
    }
    if !given.is_multiple_of(divisor) {
        return Err(Error::DoesNotDivide { what, given: given as u64, divisor_name, divisor: divisor as u64 });
    }
    Ok(given / divisor)
}

fn number(metadata: &Metadata, key: &'static str) -> Result<usize> {
    let found = metadata.get(key);
    let parsed = found.and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| Error::Metadata { key, found: quoted(found), expected: "a whole number".to_owned() })
}

/// The value of a key, which must be one of `values`; `default` stands in where there is none.
fn one_of<'m>(metadata: &'m Metadata, key: &'static str, values: &[&'m str], default: Option<&'m str>) -> Result<&'m str> {
    let found = metadata.get(key).map(String::as_str).or(default);
    match found {
        Some(value) if values.contains(&value) => Ok(value),
        _ => Err(Error::Metadata { key, found: quoted(metadata.get(key)), expected: format!("one of {}", values.join(", ")) }),
    }
}

fn quoted(value: Option<&String>) -> String {
    value.map_or("missing".to_owned(), |value| format!("{value:?}"))
}
