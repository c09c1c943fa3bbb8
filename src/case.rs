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

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, TemporalValue};
use crate::shape::Shape;
use crate::tensor::{Tensor, Tensors};

/// A case: an operation, its inputs, and the outputs that are expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation that the metadata names.
    pub operation: Operation,
    /// Every tensor that is not expected output.
    pub inputs: Tensors,
    /// Expected outputs, by the output's name.
    pub expected: Tensors,
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// [`Error::File`], and those of [`Case::parse`].
    pub fn read(path: &Path) -> Result<Self> {
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
        let (mut inputs, mut expected) = (Tensors::new(), Tensors::new());
        for (name, view) in file.tensors() {
            match name.strip_prefix("expected.") {
                Some(output) => expected.insert(output.to_owned(), tensor(&name, &view)?),
                None => inputs.insert(name.clone(), tensor(&name, &view)?),
            };
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        let operation = operation(&metadata, &inputs)?;
        Ok(Self { operation, inputs, expected })
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

/// The tensor's numbers as float32.
fn tensor(name: &str, view: &TensorView) -> Result<Tensor> {
    let bytes = view.data();
    let data: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
        Dtype::F16 => bytemuck::pod_collect_to_vec::<_, half::f16>(bytes).into_iter().map(f32::from).collect(),
        Dtype::BF16 => bytemuck::pod_collect_to_vec::<_, half::bf16>(bytes).into_iter().map(f32::from).collect(),
        other => {
            let found = format!("{other:?}");
            return Err(Error::WrongType { name: name.to_owned(), found, expected: "F32, F16 or BF16" });
        }
    };
    Tensor::new(view.shape().to_vec(), data)
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
    let given = || inputs.keys().cloned().collect::<Vec<_>>().join(", ");
    let tensor = inputs.get(name).ok_or_else(|| Error::MissingTensor { name: name.to_owned(), given: given() })?;
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
