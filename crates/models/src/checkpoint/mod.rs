//! Checkpoints as they are published: what `torch.save` writes, and safetensors files.
//!
//! A file is mapped into memory and its tensors are read one at a time. A checkpoint of PyTorch is a zip archive with a pickle, which is a program that could
//! run anything; here a reader of its own makes tensors and containers of it and refuses by name whatever else the pickle asks for. Nothing that a
//! file says is believed before it has been compared with what the file has.

mod archive;
mod convert;
mod element;
mod pickle;
mod place;
mod pytorch;
mod safe;
mod sniff;
mod source;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use convert::{Converted, convert};
pub use element::ElementType;

use archive::{Sound, short};
use orthoformer::error::{Error, Result};
use orthoformer::tensor::Tensor;
use place::Place;
use sniff::Format;
use source::Source;

/// What the names of tensors begin with that were saved from a model wrapped for several devices.
const WRAPPER: &str = "module.";
/// The file that describes the network of a checkpoint beside it.
pub(crate) const DESCRIPTION: &str = "config.json";
/// No description is so long, bytes.
const LONGEST_DESCRIPTION: u64 = 1 << 20;

/// A file of tensors, open for reading. It must not be changed while it is open.
pub struct Checkpoint {
    path: PathBuf,
    source: Source,
    index: Index,
    /// What is said about the network beside the file, or why that cannot be read.
    description: Option<Sound<String>>,
}

/// What a checkpoint says about one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Sizes of the axes, outermost first.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub element: ElementType,
    place: Place,
}

impl TensorInfo {
    /// How many elements it has.
    pub fn count(&self) -> usize {
        // Fits, as every tensor's size has been taken from a `Budget`.
        self.shape.iter().product()
    }
}

/// What there is in a file.
struct Index {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a checkpoint; what kind of file it is, its first bytes tell. Tensors are looked for under `model_state`, `state_dict` and `model`, and in the outermost
    /// dictionary.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Contents`] if it is no checkpoint, a damaged one, or one that asks for more than tensors and containers.
    pub fn open(path: &Path) -> Result<Self> {
        let checkpoint = Self::of_source(path, Source::open(path)?)?;
        let beside = path.with_file_name(DESCRIPTION);
        if !beside.is_file() {
            return Ok(checkpoint);
        }
        // Whether it is needed is known to those who ask for it: the file may belong to something else.
        Ok(Self { description: Some(read_description(&beside)), ..checkpoint })
    }

    /// The same checkpoint with this description of its network, as [`Checkpoint::description`] has it.
    pub fn described(self, description: String) -> Self {
        Self { description: Some(Ok(description)), ..self }
    }

    /// Takes a checkpoint that is in memory; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Contents`], as [`Checkpoint::open`].
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        Self::of_source(path, Source::Memory(bytes))
    }

    fn of_source(path: &Path, source: Source) -> Result<Self> {
        let file = source.bytes();
        let index = sniff::format(file).and_then(|format| match format {
            Format::PyTorch => pytorch::index(file),
            Format::SafeTensors => safe::index(file),
        });
        let index = index.map_err(|reason| Error::Contents { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), source, index, description: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that was saved with the tensors, if there is one: text, usually YAML, under `cfg`.
    pub fn config(&self) -> Option<&str> {
        self.index.metadata.get("cfg").map(String::as_str)
    }

    /// What `config.json` says, where it lies beside the file, as libraries save it, or is kept in the file by [`convert`]: text, usually JSON.
    ///
    /// # Errors
    /// [`Error::Contents`] if the file beside cannot be read as text.
    pub fn description(&self) -> Result<Option<&str>> {
        match &self.description {
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(reason)) => {
                let path = self.path.with_file_name(DESCRIPTION);
                Err(Error::Contents { path, reason: reason.clone() })
            }
            None => Ok(self.index.metadata.get(DESCRIPTION).map(String::as_str)),
        }
    }

    /// What is saved beside the tensors: all metadata of a safetensors file; of a checkpoint of PyTorch numbers, truth values and short texts, such as `epoch`, as text. The
    /// configuration is among them.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.index.metadata
    }

    /// All tensors, sorted by their names, from which a leading `module.` has been taken.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.index.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// What is known about a tensor, if there is one of this name.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.index.tensors.get(name)
    }

    /// The error for a tensor that is not there. A few names are enough to see what kind of file it is.
    pub(crate) fn missing(&self, name: &str) -> Error {
        let tensors = &self.index.tensors;
        let mut given: Vec<String> = tensors.keys().take(8).map(|name| short(name)).collect();
        if tensors.len() > given.len() {
            given.push(format!("{} more", tensors.len() - given.len()));
        }
        Error::MissingTensor { name: name.to_owned(), given: given.join(", ") }
    }

    /// Reads a tensor of floats as float32, in its own shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::WrongType`] if its elements are no floats, [`Error::WrongNumber`] if a float64 is too large for float32.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let info = self.info(name).ok_or_else(|| self.missing(name))?;
        if !info.element.is_float() {
            // Says which types would do; there is no need to gather the elements first.
            info.element.decode(name, &[])?;
        }
        Tensor::new(info.shape.clone(), info.element.decode(name, &self.gather(name, info)?)?)
    }

    /// Reads the elements of a tensor of this shape.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], and [`Error::WrongShape`] for another shape.
    pub(crate) fn read_shaped(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.read(name)?;
        if tensor.shape() != expected {
            let (found, expected) = (tensor.shape().to_vec(), format!("{expected:?}"));
            return Err(Error::WrongShape { name: name.to_owned(), found, expected });
        }
        Ok(tensor.into_data())
    }

    /// The elements of a tensor as they are stored, row-major.
    fn gather(&self, name: &str, info: &TensorInfo) -> Result<std::borrow::Cow<'_, [u8]>> {
        info.place.gather(self.source.bytes(), info.element).ok_or_else(|| {
            let reason = format!("tensor {:?} is not within the file", short(name));
            Error::Contents { path: self.path.clone(), reason }
        })
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("tensors", &self.index.tensors.len()).finish_non_exhaustive()
    }
}

/// The text of a description.
fn read_description(path: &Path) -> Sound<String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > LONGEST_DESCRIPTION {
        return Err(format!("{bytes} bytes are too many for the description of a network ({LONGEST_DESCRIPTION} at most)"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    // Some editors put a mark of byte order ahead.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Adds a tensor under its name without the wrapper's.
fn add(tensors: &mut BTreeMap<String, TensorInfo>, name: &str, info: TensorInfo) -> Sound<()> {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    match tensors.insert(name.to_owned(), info) {
        Some(_) => {
            Err(format!("it has two tensors of the name {:?}, one of them perhaps with {WRAPPER:?} before it", short(name)))
        }
        None => Ok(()),
    }
}

/// How much the tensors of a file may take together. Tensors can share a storage, and even repeat its numbers, so that a small file might claim terabytes.
struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// Sixteen times the file allows for weights in several places, half precision, and masks that repeat a row.
    fn new(file: &[u8]) -> Self {
        let most = (file.len() as u64).saturating_mul(16).saturating_add(1 << 20);
        Self { most, left: most }
    }

    /// Takes a tensor's bytes, which are those of its elements as float32 if that is more.
    fn take(&mut self, info: &TensorInfo) -> Sound<()> {
        let bits = info.element.bits().max(32) as u64;
        let count = info.shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size as u64));
        let bytes = count.and_then(|count| count.checked_mul(bits)).map(|bits| bits.div_ceil(8));
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(|| {
            format!("its tensors claim to take more than {} bytes in all, sixteen times what the file has", self.most)
        })?;
        Ok(())
    }
}
