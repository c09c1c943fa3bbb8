//! Files of `torch.save`: a pickle that says which tensors there are, and an entry for each storage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::archive::{Archive, Sound, short};
use super::pickle::value::{Global, Id, PickledTensor, Value, Values};
use super::pickle::{self, Pickled};
use super::place::View;
use super::states::{self, State};
use super::{Budget, Index, TensorInfo};

/// Longest text beside the tensors that is kept as metadata; `cfg` is kept whatever its length.
const MOST_TEXT: usize = 256;
/// Most classes of objects that a note names.
const MOST_NAMED: usize = 8;

/// Looks through an archive.
pub(super) fn index(file: &[u8]) -> Sound<Index> {
    let mut archive = Archive::new(file)?;
    let Pickled { values, top, makers } = pickle::read(archive.pickle()?)?;
    let state = states::state(&values, top)?;
    let mut places = Places { archive, values: &values, storages: HashMap::new() };
    let (mut tensors, mut budget) = (BTreeMap::new(), Budget::new(file));
    for (key, value) in values.entries(state.dict) {
        let Value::Tensor(tensor) = values.get(value) else { continue };
        let info = places.info(tensor).map_err(|reason| format!("tensor {:?}: {reason}", short(key)))?;
        budget.take(&info)?;
        super::add(&mut tensors, key, info)?;
    }
    let notes = notes(&state, &makers);
    Ok(Index { tensors, metadata: metadata(&values, top), notes })
}

/// What to know about what is passed over.
fn notes(state: &State, makers: &BTreeSet<Global<'_>>) -> Vec<String> {
    let mut notes = Vec::new();
    if !state.others.is_empty() {
        let others: Vec<String> = state.others.iter().map(|other| format!("{other:?}")).collect();
        let taken = state.key.as_ref().map_or("of the outermost dictionary".to_owned(), |key| format!("under {key:?}"));
        notes.push(format!("the tensors are those {taken}; there are others under {}", others.join(", ")));
    }
    if !makers.is_empty() {
        let mut named: Vec<String> = makers.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        if makers.len() > named.len() {
            named.push(format!("{} more", makers.len() - named.len()));
        }
        notes.push(format!("objects that are no tensors are passed over: {}", named.join(", ")));
    }
    notes
}

/// What there is beside the tensors.
fn metadata(values: &Values<'_>, top: Id) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    for (key, value) in values.entries(top) {
        let text = match values.get(value) {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(value) if value.len() <= MOST_TEXT => (*value).to_owned(),
            _ => continue,
        };
        if key.len() <= MOST_TEXT {
            metadata.insert(key.to_owned(), text);
        }
    }
    if let Some(Value::Text(config)) = entry(values, top, "cfg").map(|config| values.get(config)) {
        metadata.insert("cfg".to_owned(), (*config).to_owned());
    }
    metadata
}

/// What a dictionary has under a key: the last, if the key is there several times.
fn entry(values: &Values<'_>, dict: Id, name: &str) -> Option<Id> {
    values.entries(dict).filter(|(key, _)| *key == name).last().map(|(_, value)| value)
}

/// Finds the places of tensors.
struct Places<'v, 'f> {
    archive: Archive<'f>,
    values: &'v Values<'f>,
    /// Where storages that have been asked for are.
    storages: HashMap<&'f str, Range<usize>>,
}

impl Places<'_, '_> {
    fn info(&mut self, tensor: &PickledTensor) -> Sound<TensorInfo> {
        let Value::Storage(storage) = self.values.get(tensor.storage) else { return Err("no storage".to_owned()) };
        let range = match self.storages.get(storage.key) {
            Some(range) => range.clone(),
            None => {
                let range = self.archive.storage(storage.key)?;
                self.storages.insert(storage.key, range.clone());
                range
            }
        };
        let (element, count) = (storage.element, storage.count);
        let size = element.bits() / 8;
        if count.checked_mul(size) != Some(range.len()) {
            let (key, held) = (short(storage.key), range.len());
            return Err(format!("its storage {key:?} is to hold {count} numbers of {size} bytes, but has {held} bytes"));
        }
        let (shape, strides) = (self.values.sizes("shape", tensor.shape)?, self.values.sizes("strides", tensor.strides)?);
        let view = View { offset: tensor.offset, shape: &shape, strides: &strides };
        let place = view.place(element, range.start, count).ok_or_else(|| {
            let offset = tensor.offset;
            format!("shape {shape:?} with strides {strides:?} and offset {offset} reaches beyond its storage of {count} numbers")
        })?;
        Ok(TensorInfo { shape, element, place })
    }
}
