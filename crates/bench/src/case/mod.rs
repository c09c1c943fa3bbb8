//! Conformance cases: safetensors files whose metadata names an operation, with its inputs and what it should make of them.
//!
//! | metadata | values |
//! | --- | --- |
//! | `op` | `trajectories`, `attention`, `prototypes`, `deformable`, `layer`, `model`, `network` |
//! | `checkpoint` | name of the file beside the case that has the network and its weights (model) |
//! | `frames`, `heads` | whole numbers (trajectories: `frames`; layer: both) |
//! | `sub_clip`, `samples` | whole numbers: frames that see each other, and samples in each (deformable) |
//! | `attention` | `trajectory`, `joint`, `divided_space`, `divided_time` (layer) |
//! | `temporal_value` | `projected`, `identity` (trajectory layer) |
//! | `class_token` | `true` (if missing), `false` (layer) |
//! | `approximation` | `exact` (if missing), `orthoformer`, `nystrom`, `performer` (all but `prototypes`) |
//! | `prototypes` | whole number: prototypes (orthoformer) or landmarks (nystrom); `count` says it for `op` = `prototypes` |
//! | `candidates` | `queries` (if missing), `queries_and_keys` (orthoformer) |
//! | `per_frame` | `false` (if missing), `true` (orthoformer) |
//! | `selection` | `greedy` (if missing), `random`, `segment_means`, `k_means`, `spherical_k_means` |
//! | `criterion` | `sum` (if missing), `max` (greedy) |
//! | `normalise` | `true` (if missing), `false` (greedy) |
//! | `fraction` | number above 0, at most 1, which it is if missing (greedy) |
//! | `seed` | whole number, 0 if missing (whatever is drawn) |
//! | `iterations` | whole number: of the pseudo-inverse (6 if missing), of k-means (5 if missing) |
//! | `features` | whole number (performer, where there is no tensor `projection`) |
//!
//! Tensors named `expected.NAME` are what the output `NAME` should be; `start`, of integers, holds the first picks of a greedy selection, drawn
//! where it is missing. The operations' inputs are described in [`orthoformer::ops`]; that of a model is `video [T,H,W,3]` of bytes, or a batch of those, which
//! is normalised as the network's configuration says, or else `clip [B,3,T,H,W]` of floats; that of
//! a network, whose `model.safetensors` and `config.json` lie beside the case, is `input`, as its library takes it (`orthoformer_models::Network::take`).

mod check;
mod metadata;
#[cfg(feature = "files")]
mod model;
#[cfg(feature = "files")]
mod network;
mod operation;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub use check::{CaseReport, CpuOutput, OutputReport, check};
use metadata::Metadata;
pub use operation::Operation;
use orthoformer::shape::MAX_CANDIDATES;
use orthoformer::{Error, Result, Tensor, Tensors};
#[cfg(feature = "files")]
use orthoformer_video::files::write_whole;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A case: an operation, its inputs, and the outputs that are expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation that the metadata names.
    pub operation: Operation,
    /// Every tensor that is not expected output.
    pub inputs: Tensors,
    /// Expected outputs, by the output's name.
    pub expected: Tensors,
    /// Tensors of an element type that is not read (neither floats nor integers that may be indices), with that type. The operation does not need them as inputs,
    /// but they may be expected outputs.
    pub unread: BTreeMap<String, String>,
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// [`Error::File`], and those of [`Case::parse`].
    #[cfg(feature = "files")]
    pub fn read(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::file("read", path))?;
        if !kind.is_file() {
            return Err(Error::Contents { path: path.to_owned(), reason: "not a regular file".to_owned() });
        }
        let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
        Self::parse(path, &bytes)
    }

    /// Reads a case from the bytes of a safetensors file; `path` is for messages, and the folder where a model's checkpoint lies.
    ///
    /// # Errors
    /// [`Error::Contents`] if the bytes are no safetensors file, [`Error::WrongType`], [`Error::MissingTensor`], [`Error::WrongShape`],
    /// [`Error::Metadata`], those of [`orthoformer::Shape::new`], and [`Error::WrongNumber`]; those of opening a checkpoint and of its configuration.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let parts = Parts::read(path, bytes)?;
        #[cfg(feature = "files")]
        if parts.is_model() {
            return parts.model(&|name| orthoformer_models::checkpoint::Checkpoint::open(&path.with_file_name(name)));
        }
        parts.case()
    }

    /// As [`Case::parse`], where `beside` opens a model's checkpoint by its name.
    ///
    /// # Errors
    /// As [`Case::parse`].
    #[cfg(feature = "files")]
    pub fn parse_beside(path: &Path, bytes: &[u8], beside: Beside) -> Result<Self> {
        let parts = Parts::read(path, bytes)?;
        if parts.is_model() { parts.model(beside) } else { parts.case() }
    }
}

/// What a case file holds.
struct Parts<'f> {
    #[cfg_attr(not(feature = "files"), allow(dead_code, reason = "only models read more of the file"))]
    file: SafeTensors<'f>,
    values: HashMap<String, String>,
    inputs: Tensors,
    expected: Tensors,
    unread: BTreeMap<String, String>,
}

impl<'f> Parts<'f> {
    fn read(path: &Path, bytes: &'f [u8]) -> Result<Self> {
        if bytes.starts_with(b"PK\x03\x04") {
            let reason =
                "a zip archive, as checkpoints of PyTorch are, not a case: `classify`, `inspect` and `convert` take those"
                    .to_owned();
            return Err(Error::Contents { path: path.to_owned(), reason });
        }
        let broken = |error: safetensors::SafeTensorError| Error::Contents {
            path: path.to_owned(),
            reason: format!("not a safetensors file, or a damaged one ({} bytes): {error}", bytes.len()),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (mut inputs, mut expected, mut unread) = (Tensors::new(), Tensors::new(), BTreeMap::new());
        for (name, view) in file.tensors() {
            let Some(tensor) = tensor(&name, &view)? else {
                unread.insert(name, format!("{:?}", view.dtype()));
                continue;
            };
            if tensor.is_indices() && is_input(&name) {
                unread.insert(name, format!("{:?}", view.dtype()));
                continue;
            }
            match name.strip_prefix("expected.") {
                Some(output) => expected.insert(output.to_owned(), tensor),
                None => inputs.insert(name, tensor),
            };
        }
        let values = header.metadata().clone().unwrap_or_default();
        if let Some((name, found)) = unread.iter().find(|(name, _)| is_input(name)) {
            return Err(Error::WrongType { name: name.clone(), found: found.clone(), expected: "F32, F16 or BF16" });
        }
        Ok(Self { file, values, inputs, expected, unread })
    }

    fn case(self) -> Result<Case> {
        let operation = Metadata { values: &self.values, inputs: &self.inputs }.operation()?;
        let operation = Operation::Core(operation);
        Ok(Case { operation, inputs: self.inputs, expected: self.expected, unread: self.unread })
    }

    #[cfg(feature = "files")]
    fn is_model(&self) -> bool {
        self.values.get("op").is_some_and(|op| op == "model" || op == "network")
    }

    #[cfg(feature = "files")]
    fn model(mut self, beside: Beside) -> Result<Case> {
        let operation = match self.values.get("op").map(String::as_str) {
            Some("network") => network::operation(&mut self.inputs, &mut self.expected, beside)?,
            _ => model::operation(&self.values, &self.file, (&mut self.inputs, &mut self.expected), beside)?,
        };
        self.unread.remove("video");
        Ok(Case { operation, inputs: self.inputs, expected: self.expected, unread: self.unread })
    }
}

/// Opens a checkpoint that lies beside a case, by its name.
#[cfg(feature = "files")]
pub type Beside<'b> = &'b dyn Fn(&str) -> Result<orthoformer_models::checkpoint::Checkpoint>;

/// Writes tensors as a safetensors file: whole, or not at all.
///
/// # Errors
/// [`Error::File`].
#[cfg(feature = "files")]
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let integers = |tensor: &Tensor| tensor.data().iter().map(|&number| number as i32).collect::<Vec<_>>();
    let indices: BTreeMap<&String, Vec<i32>> =
        tensors.iter().filter(|(_, tensor)| tensor.is_indices()).map(|(name, tensor)| (name, integers(tensor))).collect();
    let views = tensors.iter().map(|(name, tensor)| {
        let view = match indices.get(name) {
            Some(integers) => TensorView::new(Dtype::I32, tensor.shape().to_vec(), bytemuck::cast_slice(integers)),
            None => TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data())),
        };
        Ok((name.clone(), view.map_err(Error::contents(path))?))
    });
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(Error::contents(path))?;
    write_whole(path, &bytes)
}

/// Whether operations take a tensor of this name.
fn is_input(name: &str) -> bool {
    ["q", "k", "v", "x", "projection"].contains(&name) || name.ends_with(".weight") || name.ends_with(".bias")
}

/// A tensor of floats, or of integers as indices; `None` for other elements, and for integers that are no indices where none are needed.
fn tensor(name: &str, view: &TensorView) -> Result<Option<Tensor>> {
    let shape = view.shape().to_vec();
    if let Some(data) = numbers(view) {
        return Ok(Some(Tensor::new(shape, data)?));
    }
    let Some(integers) = integers(view) else { return Ok(None) };
    let wrong = integers.iter().find(|integer| !(0..MAX_CANDIDATES.into()).contains(*integer));
    if wrong.is_some() && name != "start" && !name.starts_with("expected.") {
        return Ok(None);
    }
    if let Some(wrong) = wrong {
        let expected = format!("whole numbers from 0 to below {MAX_CANDIDATES}");
        return Err(Error::WrongNumber { name: name.to_owned(), found: wrong.to_string(), expected });
    }
    let data = integers.into_iter().map(|integer| integer as f32).collect();
    Ok(Some(Tensor::new(shape, data)?.into_indices()))
}

/// The numbers of a tensor of floats as float32.
fn numbers(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(bytes)),
        Dtype::F16 => Some(bytemuck::pod_collect_to_vec::<_, half::f16>(bytes).into_iter().map(f32::from).collect()),
        Dtype::BF16 => Some(bytemuck::pod_collect_to_vec::<_, half::bf16>(bytes).into_iter().map(f32::from).collect()),
        _ => None,
    }
}

/// The numbers of a tensor of integers.
fn integers(view: &TensorView) -> Option<Vec<i64>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::I32 => Some(bytemuck::pod_collect_to_vec::<_, i32>(bytes).into_iter().map(i64::from).collect()),
        Dtype::U32 => Some(bytemuck::pod_collect_to_vec::<_, u32>(bytes).into_iter().map(i64::from).collect()),
        Dtype::I64 => Some(bytemuck::pod_collect_to_vec(bytes)),
        _ => None,
    }
}
