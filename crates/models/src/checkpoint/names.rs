//! Names of tensors: wrappers are taken off, and other libraries' names are turned into those of the network that they are of.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Sound, short};
use super::place::Place;
use super::{Checkpoint, TensorInfo, states};
use crate::networks;

/// What PyTorch and its helpers wrap modules in, wherever it stands in a name: several devices, compilation, sharding, recomputation.
const WRAPPERS: [&str; 6] =
    ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_forward_method"];
/// Most sets of tensors that are looked at.
const MOST_SETS: usize = 16;

/// What a converted file's metadata has the former names under.
pub(crate) const NAMING: &str = "names_of";
/// Checkpoints with more tensors have the names that they have.
const MOST_TENSORS: usize = 20_000;

/// Tensors by their names.
pub(crate) type Tensors = BTreeMap<String, TensorInfo>;

/// The names that somebody else gives the tensors of a network that there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming {
    /// Whose names, for people.
    pub whose: &'static str,
    /// A tensor that there is under these names.
    pub landmark: &'static str,
    /// The same tensors under the network's own names, if these are such.
    pub translate: fn(&Tensors) -> Option<Tensors>,
}

/// Names without the wrappers, wherever they stand.
pub(super) fn unwrapped(tensors: Tensors) -> Sound<Tensors> {
    let is_wrapper = |part: &str| WRAPPERS.contains(&part);
    let mut bare = Tensors::new();
    for (name, info) in tensors {
        let parts: Vec<&str> = name.split('.').filter(|part| !is_wrapper(part)).collect();
        let own = if parts.is_empty() { name } else { parts.join(".") };
        if bare.insert(own.clone(), info).is_some() {
            return Err(format!(
                "it has two tensors of the name {:?}, one of them perhaps with {:?} in it",
                short(&own),
                WRAPPERS[0]
            ));
        }
    }
    Ok(bare)
}

/// Tensors that may be those of a network.
struct Set {
    /// What their names begin with.
    prefix: String,
    /// In the network's names.
    tensors: Tensors,
    naming: Option<&'static str>,
    notes: Vec<String>,
}

/// Finds out which network's tensors these are, under what prefix and in whose names, and gives them the network's names. If it cannot be found out, they
/// stay as they are.
pub(super) fn settle(checkpoint: &mut Checkpoint) {
    let original = std::mem::take(&mut checkpoint.index.tensors);
    let mut found: Option<Set> = None;
    let mut others = Vec::new();
    for prefixes in prefixes(&original) {
        let is_listed = |prefix: &String| others.contains(prefix) || found.as_ref().is_some_and(|set| set.prefix == *prefix);
        if prefixes.iter().any(is_listed) {
            continue;
        }
        let Some(set) = prefixes.into_iter().find_map(|prefix| as_known(checkpoint, &original, prefix)) else { continue };
        match &found {
            Some(_) => others.push(set.prefix),
            None => found = Some(set),
        }
    }
    let Some(Set { prefix, tensors, naming, notes }) = found else {
        checkpoint.index.tensors = original;
        return;
    };
    checkpoint.naming = naming.or_else(|| kept(checkpoint));
    checkpoint.index.tensors = tensors;
    checkpoint.index.notes.extend(notes);
    if !others.is_empty() {
        let taken = if prefix.is_empty() { "have no prefix".to_owned() } else { format!("begin with {prefix:?}") };
        let others: Vec<String> = others.iter().map(|other| format!("{other:?}")).collect();
        let note = format!("the tensors are those whose names {taken}; there are others with {}", others.join(", "));
        checkpoint.index.notes.push(note);
    }
}

/// Whose names the tensors had before they were converted.
fn kept(checkpoint: &Checkpoint) -> Option<&'static str> {
    let whose = checkpoint.index.metadata.get(NAMING)?;
    networks::NAMINGS.iter().copied().flatten().map(|naming| naming.whose).find(|known| known == whose)
}

/// The tensors in the names of a network, if they are those of one once a prefix is taken off.
fn as_known(checkpoint: &mut Checkpoint, original: &Tensors, prefix: String) -> Option<Set> {
    let (stripped, notes) = stripped(original, &prefix);
    checkpoint.index.tensors = stripped;
    let is_known = networks::is_known(checkpoint);
    let stripped = std::mem::take(&mut checkpoint.index.tensors);
    if is_known {
        return Some(Set { prefix, tensors: stripped, naming: None, notes });
    }
    for naming in networks::NAMINGS.iter().copied().flatten() {
        if let Some(tensors) = (naming.translate)(&stripped) {
            return Some(Set { prefix, tensors, naming: Some(naming.whose), notes });
        }
    }
    // The one network that is told by less than its names.
    checkpoint.index.tensors = stripped;
    let is_otherwise = networks::is_otherwise(checkpoint);
    let tensors = std::mem::take(&mut checkpoint.index.tensors);
    is_otherwise.then_some(Set { prefix, tensors, naming: None, notes })
}

/// Names without this prefix, or as much of it as they have: a classifier may be beside the rest of the network. Of two that would become one, that with more of the
/// prefix is the network's; notes name the other.
fn stripped(tensors: &Tensors, prefix: &str) -> (Tensors, Vec<String>) {
    let beginnings = prefix.match_indices('.').filter_map(|(end, _)| prefix.get(..=end)).collect::<Vec<_>>();
    let mut all: Vec<(&str, &str, &TensorInfo)> = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let own = beginnings.iter().rev().find_map(|beginning| name.strip_prefix(beginning)).unwrap_or(name);
        all.push((own, name, info));
    }
    all.sort_by_key(|(own, name, _)| std::cmp::Reverse(name.len() - own.len()));
    let (mut stripped, mut notes) = (Tensors::new(), Vec::new());
    for (own, name, info) in all {
        match stripped.entry(own.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(info.clone());
            }
            Entry::Occupied(_) => notes.push(format!(
                "tensor {:?} is passed over, as there is another with {prefix:?} before the same name",
                short(name)
            )),
        }
    }
    notes.truncate(MOST_SETS);
    (stripped, notes)
}

/// For each tensor by which a network is told, in the order in which they are taken, what its name has beside that: nothing, or what is before all names of the set;
/// with the family's name, which may be part of it, last.
fn prefixes(tensors: &Tensors) -> Vec<Vec<String>> {
    let landmarks: Vec<&str> = networks::landmarks().collect();
    let mut sets = BTreeSet::new();
    for name in tensors.keys() {
        let mut found: Vec<String> = Vec::new();
        for prefix in landmarks.iter().filter_map(|landmark| name.strip_suffix(landmark)) {
            if prefix.is_empty() || prefix.ends_with('.') {
                found.push(prefix.to_owned());
            }
        }
        found.sort_by_key(String::len);
        found.dedup();
        if let Some(first) = found.first() {
            let ranks: Vec<usize> = first.split_terminator('.').map(states::rank).collect();
            sets.insert((ranks, found));
        }
    }
    let is_cheap = |prefixes: &Vec<String>| tensors.len() <= MOST_TENSORS || prefixes.iter().any(String::is_empty);
    sets.into_iter().map(|(_, prefixes)| prefixes).filter(is_cheap).take(MOST_SETS).collect()
}

/// Tensors under other names; those without another keep theirs.
pub(crate) fn renamed(tensors: &Tensors, name_of: impl Fn(&str) -> Option<String>) -> Option<Tensors> {
    let mut renamed = Tensors::new();
    for (name, info) in tensors {
        let own = name_of(name).unwrap_or_else(|| name.clone());
        if renamed.insert(own, info.clone()).is_some() {
            return None;
        }
    }
    Some(renamed)
}

impl TensorInfo {
    /// The same elements in another order along the last axis, of which `axes` are the sizes and strides. `None` unless they lie as they come.
    pub(crate) fn reordered(&self, axes: &[(usize, usize)]) -> Option<Self> {
        let last = self.shape.last().copied()?;
        let covered: usize = axes.iter().map(|(count, _)| count).product();
        if !self.place.axes.is_empty() || covered != last {
            return None;
        }
        let outer = self.count().checked_div(last)?;
        let place = Place { axes: [&[(outer, last)], axes].concat(), ..self.place.clone() };
        Some(Self { place, ..self.clone() })
    }
}
