//! What an unpickled checkpoint consists of.

use std::fmt;

use super::super::archive::{Sound, short};
use super::super::element::ElementType;

/// Most axes of a tensor. PyTorch has 64, networks six or seven.
const MOST_AXES: usize = 16;

/// Where a value is in [`Values`]. Containers hold these rather than values: however deep or however round in circles a pickle nests them,
/// neither making nor dropping them takes any recursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// A value; text is borrowed from the pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'p> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'p str),
    /// Bytes, or integers of more than 64 bits: nothing asks what they are.
    Opaque,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    /// A function or class that means nothing here.
    Global(Global<'p>),
    /// What such a function or class would have made: nothing is known of it.
    Object(Global<'p>),
    StorageType(ElementType),
    Storage(Storage<'p>),
    Tensor(PickledTensor),
}

/// What a pickle can call so that something comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callable {
    OrderedDict,
    DefaultDict,
    Counter,
    RebuildTensor,
    RebuildParameter,
    RebuildFromType,
    Size,
}

/// A function or class by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Global<'p> {
    pub module: &'p str,
    pub name: &'p str,
}

impl fmt::Display for Global<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", short(self.module), short(self.name))
    }
}

/// Numbers in an entry of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage<'p> {
    pub element: ElementType,
    pub key: &'p str,
    /// Numbers in it.
    pub count: usize,
}

/// A tensor within a storage; offset and strides in elements. Its sizes stay where they are, since a short pickle can make many tensors of the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PickledTensor {
    pub storage: Id,
    pub offset: usize,
    pub shape: Id,
    pub strides: Id,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Values<'p>(Vec<Value<'p>>);

impl<'p> Values<'p> {
    /// Most values of a pickle. A checkpoint with the state of its optimiser has some thirty a tensor.
    pub const MOST: usize = 1_000_000;

    pub fn add(&mut self, value: Value<'p>) -> Sound<Id> {
        if self.0.len() >= Self::MOST {
            return Err(format!("its pickle has more than {} values", Self::MOST));
        }
        let id = u32::try_from(self.0.len()).map_err(|error| error.to_string())?;
        self.0.push(value);
        Ok(Id(id))
    }

    pub fn get(&self, id: Id) -> &Value<'p> {
        self.0.get(id.0 as usize).unwrap_or(&Value::None)
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Value<'p>> {
        self.0.get_mut(id.0 as usize)
    }

    /// Sizes or strides of a tensor.
    pub fn sizes(&self, what: &str, id: Id) -> Sound<Vec<usize>> {
        match self.get(id) {
            Value::Tuple(sizes) if sizes.len() <= MOST_AXES => sizes.iter().map(|id| self.size(what, *id)).collect(),
            Value::Tuple(sizes) => {
                Err(format!("its pickle has a tensor whose {what} is of {} axes; at most {MOST_AXES} are read", sizes.len()))
            }
            other => Err(format!("its pickle has a tensor whose {what} is {}; it must be a tuple", other.kind())),
        }
    }

    /// One size, stride or offset.
    pub fn size(&self, what: &str, id: Id) -> Sound<usize> {
        match self.get(id) {
            Value::Int(size) => usize::try_from(*size)
                .map_err(|_| format!("its pickle has a tensor with {size} in its {what}; it must not be negative")),
            other => Err(format!("its pickle has a tensor with {} in its {what}; it must be an integer", other.kind())),
        }
    }

    /// A dictionary's entries whose keys are text, in their order.
    pub fn entries(&self, dict: Id) -> impl Iterator<Item = (&'p str, Id)> {
        let pairs = match self.get(dict) {
            Value::Dict(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().filter_map(|(key, value)| match self.get(*key) {
            Value::Text(key) => Some((*key, *value)),
            _ => None,
        })
    }
}

impl Value<'_> {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Opaque => "bytes or a large integer",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Callable(_) => "a function",
            Self::Global(_) => "a function or class",
            Self::Object(_) => "an object",
            Self::StorageType(_) => "a type",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}
