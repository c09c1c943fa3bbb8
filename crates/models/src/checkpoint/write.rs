//! The writer of safetensors files: the same bytes each time, and no more than one tensor in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use orthoformer::{Error, Result};
use orthoformer_video::files::stream_whole;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo as Entry;
use serde::Serialize;

use super::safe::{LENGTH_BYTES, MOST_HEADER};

/// The header's key that is no tensor.
const METADATA: &str = "__metadata__";

/// A tensor to be written.
pub(crate) struct Outline<'t> {
    pub name: &'t str,
    pub dtype: Dtype,
    pub shape: &'t [usize],
}

/// What the format has before the numbers: a tensor, or the metadata.
#[derive(Serialize)]
#[serde(untagged)]
enum HeaderEntry<'c> {
    Metadata(&'c BTreeMap<String, String>),
    Tensor(Entry),
}

/// Writes tensors in the order given, which has large elements first so that all are aligned; `bytes_of` hands out the bytes of each. The file appears whole or not at
/// all. Hands back its length.
///
/// # Errors
/// [`Error::File`]; [`Error::Contents`] about `source` if its names are none that the format can have; those of `bytes_of`.
pub(crate) fn write_tensors<'b>(
    out: &Path,
    source: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[Outline<'_>],
    bytes_of: impl Fn(usize) -> Result<Cow<'b, [u8]>>,
) -> Result<u64> {
    let broken = |reason| Error::Contents { path: source.to_owned(), reason };
    let (header, length) = header(metadata, tensors).map_err(broken)?;
    stream_whole(out, |file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(Error::file("write", out))?;
        file.write_all(&header).map_err(Error::file("write", out))?;
        for index in 0..tensors.len() {
            file.write_all(&bytes_of(index)?).map_err(Error::file("write", out))?;
        }
        file.flush().map_err(Error::file("write", out))
    })?;
    Ok((LENGTH_BYTES + header.len() + length) as u64)
}

/// The header, filled up to whole words of eight bytes, and how many bytes of numbers follow.
fn header(metadata: &BTreeMap<String, String>, tensors: &[Outline<'_>]) -> std::result::Result<(Vec<u8>, usize), String> {
    let mut entries = BTreeMap::new();
    let mut end = 0_usize;
    for &Outline { name, dtype, shape } in tensors {
        if name == METADATA {
            return Err(format!("it has a tensor of the name {METADATA:?}, which safetensors files cannot have"));
        }
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let entry = Entry { dtype, shape: shape.to_vec(), data_offsets: (start, end) };
        entries.insert(name, HeaderEntry::Tensor(entry));
    }
    if !metadata.is_empty() {
        entries.insert(METADATA, HeaderEntry::Metadata(metadata));
    }
    let mut header = serde_json::to_vec(&entries).map_err(|error| error.to_string())?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    if header.len() as u64 > MOST_HEADER {
        return Err(format!("its names and metadata take {} bytes; safetensors files hold {MOST_HEADER}", header.len()));
    }
    Ok((header, end))
}
