//! Checkpoints as they are published: what `torch.save` writes, and safetensors files.
//!
//! Files are mapped into memory and tensors are read one at a time. A checkpoint of PyTorch is a zip archive with a pickle, which is a program that could
//! run anything; here a reader of its own makes tensors and containers of it, runs nothing, and names whatever else it passed over. Nothing that a
//! file says is believed before it has been compared with what the file has.

mod archive;
mod beside;
mod convert;
mod element;
mod fingerprint;
mod folder;
mod names;
mod pickle;
mod place;
mod pytorch;
mod safe;
mod sniff;
mod source;
mod states;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use convert::{Converted, convert};
pub use element::ElementType;

use archive::{Sound, short};
use beside::Beside;
pub(crate) use beside::{DESCRIPTION, PROCESSORS};
use names::NAMING;
pub(crate) use names::{Naming, Tensors, renamed};
use orthoformer::error::{Error, Result};
use orthoformer::tensor::Tensor;
use place::Place;
use sniff::Format;
use source::Source;

/// Tensors in a file, or in several, open for reading. They must not be changed while they are open.
pub struct Checkpoint {
    path: PathBuf,
    sources: Vec<Source>,
    index: Index,
    beside: Beside,
    /// Whose names its tensors have, if not the network's own.
    naming: Option<&'static str>,
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
#[derive(Default)]
struct Index {
    tensors: Tensors,
    metadata: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Checkpoint {
    /// Opens a checkpoint: a file, of which its first bytes tell what kind it is; a folder, as `from_pretrained` takes it; or the list of a
    /// checkpoint's shards. Tensors of a file of PyTorch are looked for under `model_state`, `state_dict`, `model` and the like, and in the outermost dictionary.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Contents`] if it is no checkpoint, a damaged one, one that asks for what only an attack needs, or one of which a
    /// shard is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let path = folder::file_of(path)?;
        let (sources, mut index) = match folder::is_list(&path) {
            true => folder::open_shards(&path)?,
            false => {
                folder::refuse_shard(&path)?;
                let (source, index) = open_one(&path)?;
                (vec![source], index)
            }
        };
        let beside = Beside::of(&path, &index.metadata, &mut index.notes);
        Self::settled(&path, sources, index, beside)
    }

    /// The same checkpoint with this description of its network, as [`Checkpoint::description`] has it.
    pub fn described(mut self, description: String) -> Self {
        self.beside.description = Some(Ok(description));
        self
    }

    /// The same checkpoint with this text of how frames are made ready, as a `preprocessor_config.json` has it.
    pub fn with_preprocessor(mut self, text: String) -> Self {
        self.beside.processor = Some((PROCESSORS[2], Ok(text)));
        self
    }

    /// Takes a checkpoint that is in memory; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Contents`], as [`Checkpoint::open`].
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let index = index_of(path, &bytes)?;
        let beside = Beside::kept(&index.metadata);
        Self::settled(path, vec![Source::Memory(bytes)], index, beside)
    }

    /// A checkpoint whose tensors have the names of one of the networks that there are, if they can be made out to be one's.
    fn settled(path: &Path, sources: Vec<Source>, mut index: Index, beside: Beside) -> Result<Self> {
        index.tensors = names::unwrapped(index.tensors).map_err(|reason| Error::Contents { path: path.to_owned(), reason })?;
        let mut checkpoint = Self { path: path.to_owned(), sources, index, beside, naming: None };
        names::settle(&mut checkpoint);
        Ok(checkpoint)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that was saved with the tensors, if there is one: text, usually YAML, under `cfg`.
    pub fn config(&self) -> Option<&str> {
        self.index.metadata.get("cfg").map(String::as_str)
    }

    /// What `config.json` says, where it is kept in the file by [`convert`], or lies beside it, as libraries save it: text, usually JSON.
    ///
    /// # Errors
    /// [`Error::Contents`] if the file beside cannot be read as text.
    pub fn description(&self) -> Result<Option<&str>> {
        self.beside.description.as_ref().map(|text| self.text(DESCRIPTION, text)).transpose()
    }

    /// How frames are made ready for the network, as transformers saves it: the name of the file and its text, usually JSON. Found as
    /// [`Checkpoint::description`] is.
    ///
    /// # Errors
    /// [`Error::Contents`] if a file beside cannot be read as text.
    pub(crate) fn processor(&self) -> Result<Option<(&'static str, &str)>> {
        let Some((name, text)) = &self.beside.processor else { return Ok(None) };
        Ok(Some((name, self.text(name, text)?)))
    }

    fn text<'t>(&self, name: &str, text: &'t Sound<String>) -> Result<&'t str> {
        let wrong = |reason: &String| Error::Contents { path: self.path.with_file_name(name), reason: reason.clone() };
        text.as_deref().map_err(wrong)
    }

    /// What people should know about how it was read.
    pub fn notes(&self) -> &[String] {
        &self.index.notes
    }

    /// Whose names its tensors had, if they were not the network's own.
    pub fn naming(&self) -> Option<&'static str> {
        self.naming
    }

    /// What is saved beside the tensors: all metadata of a safetensors file; of a checkpoint of PyTorch numbers, truth values and short texts, such as `epoch`, as text. The
    /// configuration is among them.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.index.metadata
    }

    /// All tensors, sorted by their names: those of the network that they are of, without what wrappers put before them.
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
        let bytes = self.sources.get(info.place.file).map(Source::bytes).unwrap_or_default();
        info.place.gather(bytes, info.element).ok_or_else(|| {
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

/// Opens one file.
fn open_one(path: &Path) -> Result<(Source, Index)> {
    let source = Source::open(path)?;
    let index = index_of(path, source.bytes())?;
    Ok((source, index))
}

/// What there is in a file of these bytes.
fn index_of(path: &Path, file: &[u8]) -> Result<Index> {
    let index = sniff::format(file).and_then(|format| match format {
        Format::PyTorch => pytorch::index(file),
        Format::SafeTensors => safe::index(file),
    });
    index.map_err(|reason| Error::Contents { path: path.to_owned(), reason })
}

/// Adds a tensor.
fn add(tensors: &mut Tensors, name: &str, info: TensorInfo) -> Sound<()> {
    match tensors.insert(name.to_owned(), info) {
        Some(_) => Err(format!("it has two tensors of the name {:?}", short(name))),
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
