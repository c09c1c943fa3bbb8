//! Safetensors files.

use std::collections::BTreeMap;

use safetensors::tensor::Metadata;

use super::archive::Sound;
use super::element::ElementType;
use super::place::Place;
use super::{Budget, Index, TensorInfo};

/// Longest header, as the format has it.
pub(super) const MOST_HEADER: u64 = 100_000_000;
/// Bytes of the header's length.
pub(super) const LENGTH_BYTES: usize = 8;

/// Whether a file begins like one of safetensors: the header's length, then its brace.
pub(super) fn is_likely(file: &[u8]) -> bool {
    file.get(LENGTH_BYTES) == Some(&b'{') && header_length(file).is_some_and(|length| length <= MOST_HEADER)
}

fn header_length(file: &[u8]) -> Option<u64> {
    file.first_chunk::<LENGTH_BYTES>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Looks through a file. Its header is taken apart by the library; lengths are compared here, since hostile ones overflow there.
pub(super) fn index(file: &[u8]) -> Sound<Index> {
    let length = header_length(file).and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    let end = length.saturating_add(LENGTH_BYTES);
    let header = file.get(LENGTH_BYTES..end).ok_or_else(|| {
        format!("a safetensors file cut short: its header is to have {length} bytes, the file has {}", file.len())
    })?;
    let header: Metadata =
        serde_json::from_slice(header).map_err(|error| format!("a safetensors file with a damaged header: {error}"))?;
    let (claimed, held) = (header.data_len(), file.len().saturating_sub(end));
    if claimed != held {
        return Err(format!("a safetensors file cut short or damaged: its tensors take {claimed} bytes, it has {held}"));
    }
    let (mut tensors, mut budget) = (BTreeMap::new(), Budget::new(file));
    for (name, info) in header.tensors() {
        let (first, last) = info.data_offsets;
        let place = Place { start: end.saturating_add(first), bytes: last.saturating_sub(first), ..Place::default() };
        let info = TensorInfo { shape: info.shape.clone(), element: ElementType::of_dtype(info.dtype), place };
        budget.take(&info)?;
        super::add(&mut tensors, &name, info)?;
    }
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Index { tensors, metadata, notes: Vec::new() })
}
