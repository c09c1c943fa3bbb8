//! Names of tensors: wrappers are taken off, and other libraries' names are turned into those of the network that they are of.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Sound, short};
use super::place::Place;
use super::{Checkpoint, TensorInfo};
use crate::networks;

/// What PyTorch and its helpers wrap modules in, wherever it stands in a name: several devices, compilation, sharding, recomputation.
const WRAPPERS: [&str; 6] =
    ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_forward_method"];
/// Most parts of a name that are looked at for what all names begin with.
const DEEPEST: usize = 6;
/// A prefix that fewer than one in so many tensors have is not that of the network.
const FEWEST: usize = 5;
/// Prefixes of networks that are kept beside others of the same kind, such as averages, in the order in which they are taken.
const PREFERRED: [&str; 8] = ["model", "net", "network", "backbone", "encoder", "teacher", "student", "ema"];

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

/// Finds out which network's tensors these are, under what prefix and in whose names, and gives them the network's names. If it cannot be found out, they
/// stay as they are.
pub(super) fn settle(checkpoint: &mut Checkpoint) {
    let original = std::mem::take(&mut checkpoint.index.tensors);
    let mut found: Option<(String, Tensors, Option<&'static str>)> = None;
    let mut others = Vec::new();
    for prefix in prefixes(&original) {
        let is_beside = |(own, ..): &(String, Tensors, _)| prefix.starts_with(own.as_str()) || own.is_empty();
        if found.as_ref().is_some_and(is_beside) {
            continue;
        }
        let Some((tensors, naming)) = as_known(checkpoint, &original, &prefix) else { continue };
        match &found {
            Some(_) => others.push(format!("{prefix:?}")),
            None => found = Some((prefix, tensors, naming)),
        }
    }
    checkpoint.index.tensors = match found {
        None => original,
        Some((prefix, tensors, naming)) => {
            checkpoint.naming = naming.or_else(|| kept(checkpoint));
            if !others.is_empty() {
                let note = format!(
                    "the tensors are those whose names begin with {prefix:?}; there are others with {}",
                    others.join(", ")
                );
                checkpoint.index.notes.push(note);
            }
            tensors
        }
    };
}

/// Whose names the tensors had before they were converted.
fn kept(checkpoint: &Checkpoint) -> Option<&'static str> {
    let whose = checkpoint.index.metadata.get(NAMING)?;
    networks::NAMINGS.iter().copied().flatten().map(|naming| naming.whose).find(|known| known == whose)
}

/// The tensors in the names of a network, if they are those of one once a prefix is taken off.
fn as_known(checkpoint: &mut Checkpoint, original: &Tensors, prefix: &str) -> Option<(Tensors, Option<&'static str>)> {
    let stripped = stripped(original, prefix)?;
    checkpoint.index.tensors = stripped;
    if networks::is_known(checkpoint) {
        return Some((std::mem::take(&mut checkpoint.index.tensors), None));
    }
    let stripped = std::mem::take(&mut checkpoint.index.tensors);
    let translated =
        networks::NAMINGS.iter().copied().flatten().find_map(|naming| Some(((naming.translate)(&stripped)?, Some(naming.whose))));
    if translated.is_some() {
        return translated;
    }
    // The one network that is told by less than its names.
    checkpoint.index.tensors = stripped;
    networks::is_otherwise(checkpoint).then(|| (std::mem::take(&mut checkpoint.index.tensors), None))
}

/// Names without this prefix, or as much of it as they have: a classifier may be beside the rest of the network. `None` if two would become one.
fn stripped(tensors: &Tensors, prefix: &str) -> Option<Tensors> {
    let mut beginnings: Vec<&str> = prefix.match_indices('.').filter_map(|(end, _)| prefix.get(..=end)).collect();
    beginnings.reverse();
    let mut stripped = Tensors::new();
    for (name, info) in tensors {
        let own = beginnings.iter().find_map(|beginning| name.strip_prefix(beginning)).unwrap_or(name);
        if stripped.insert(own.to_owned(), info.clone()).is_some() {
            return None;
        }
    }
    Some(stripped)
}

/// What names may begin with beside the network's own: nothing first, then what enough of them have in common, shorter ones first.
fn prefixes(tensors: &Tensors) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    if tensors.len() > MOST_TENSORS {
        return vec![String::new()];
    }
    for name in tensors.keys() {
        for (end, _) in name.match_indices('.').take(DEEPEST) {
            *counts.entry(name.get(..=end).unwrap_or_default()).or_default() += 1;
        }
    }
    let rank = |prefix: &str| {
        let last = prefix.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        PREFERRED.iter().position(|own| *own == last).unwrap_or(PREFERRED.len())
    };
    let enough = counts.into_iter().filter(|(_, count)| FEWEST * count >= tensors.len());
    let ordered: BTreeSet<(usize, usize, &str)> =
        enough.map(|(prefix, _)| (prefix.matches('.').count(), rank(prefix), prefix)).collect();
    [String::new()].into_iter().chain(ordered.into_iter().map(|(_, _, prefix)| prefix.to_owned())).collect()
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
