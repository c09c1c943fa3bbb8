//! Where in a training checkpoint the tensors of the network are.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::archive::{Sound, short};
use super::pickle::value::{Id, Value, Values};

/// Keys of dictionaries of tensors, and what names of tensors begin with, in the order in which they are taken. Averaged weights come first where timm, which calls them so,
/// loads them; last where whoever trains has to ask for them.
const STATES: [&str; 18] = [
    "state_dict_ema",
    "model_state",
    "state_dict",
    "model",
    "model_state_dict",
    "module",
    "net",
    "network",
    "online_model",
    "backbone",
    "target_encoder",
    "encoder",
    "model_ema",
    "ema_state_dict",
    "ema",
    "ema_model",
    "teacher",
    "student",
];
/// So many times fewer tensors are not those of a network, whatever they are called.
const FAR_FEWER: usize = 16;

/// Where a key comes in the order above; unknown ones last.
pub(super) fn rank(key: &str) -> usize {
    STATES.iter().position(|state| *state == key).unwrap_or(STATES.len())
}

/// A dictionary of tensors, and the others that were passed over for it.
pub(super) struct State {
    pub dict: Id,
    /// Its key; none for the outermost dictionary.
    pub key: Option<String>,
    /// Keys of others that may be as good.
    pub others: Vec<String>,
}

/// A dictionary of tensors in the outermost one, or in one of its dictionaries.
struct Inner<'p> {
    keys: [Option<&'p str>; 2],
    dict: Id,
    tensors: usize,
}

impl Inner<'_> {
    /// The outer key counts first; a dictionary before those in it.
    fn rank(&self) -> [Option<usize>; 2] {
        self.keys.map(|key| key.map(rank))
    }

    fn name(&self) -> String {
        self.keys.iter().flatten().map(|key| short(key)).collect::<Vec<_>>().join(".")
    }
}

/// The dictionary of the tensors of a pickle whose outermost value is `top`: under the first of the keys above, under the only other one, or the outermost itself.
pub(super) fn state(values: &Values<'_>, top: Id) -> Sound<State> {
    let mut counts = Counts { values, counted: HashMap::new() };
    let own = counts.tensors(top);
    let mut inner = counts.inner(top);
    let most = inner.iter().map(|inner| inner.tensors).max().unwrap_or(0).max(own);
    inner.retain(|inner| FAR_FEWER * inner.tensors > most);
    let others = |dict: Id, tensors: usize| {
        let as_good = inner.iter().filter(|other| other.dict != dict && 2 * other.tensors >= tensors);
        as_good.take(8).map(Inner::name).collect()
    };
    let Some(first) = inner.first() else {
        let is_one = own > 0 && 2 * own >= values.entries(top).count();
        return if is_one { Ok(State { dict: top, key: None, others: Vec::new() }) } else { Err(nothing(values, top)) };
    };
    // Of several under keys that nobody knows, only what has by far the most.
    let alike = || inner.iter().filter(|other| other.rank() == first.rank());
    let taken = alike().max_by_key(|other| other.tensors).unwrap_or(first);
    if own > taken.tensors {
        return Ok(State { dict: top, key: None, others: others(top, own) });
    }
    if let Some(other) = alike().find(|other| other.dict != taken.dict && 2 * other.tensors >= taken.tensors) {
        return Err(format!(
            "there are tensors under {:?} and under {:?}, and nothing says which are the network's; save one of them alone",
            first.name(),
            if other.dict == first.dict { taken.name() } else { other.name() }
        ));
    }
    Ok(State { dict: taken.dict, key: Some(taken.name()), others: others(taken.dict, taken.tensors) })
}

/// Numbers of tensors in dictionaries, each counted once however often it is found.
struct Counts<'v, 'p> {
    values: &'v Values<'p>,
    counted: HashMap<Id, usize>,
}

impl<'p> Counts<'_, 'p> {
    fn tensors(&mut self, dict: Id) -> usize {
        let values = self.values;
        let count = || values.entries(dict).filter(|(_, value)| matches!(values.get(*value), Value::Tensor(_))).count();
        *self.counted.entry(dict).or_insert_with(count)
    }

    /// The dictionaries of tensors in a dictionary and in its dictionaries, in the order in which they are taken.
    fn inner(&mut self, top: Id) -> Vec<Inner<'p>> {
        let mut outer: Vec<(&str, Id)> = last_of_each(self.values, top).into_iter().collect();
        outer.sort_by_key(|(key, _)| rank(key));
        // Each is looked into once, however many keys it has.
        let mut seen = HashSet::from([top]);
        let mut found = Vec::new();
        for (key, dict) in outer.into_iter().filter(|(_, dict)| seen.insert(*dict)) {
            found.push(Inner { keys: [Some(key), None], dict, tensors: self.tensors(dict) });
            for (own, inner) in last_of_each(self.values, dict) {
                found.push(Inner { keys: [Some(key), Some(own)], dict: inner, tensors: self.tensors(inner) });
            }
        }
        found.retain(|inner| inner.tensors > 0 && inner.dict != top);
        found.sort_by_key(Inner::rank);
        found
    }
}

/// What a dictionary has under each key: the last, if a key is there several times.
fn last_of_each<'p>(values: &Values<'p>, dict: Id) -> BTreeMap<&'p str, Id> {
    values.entries(dict).filter(|(_, value)| matches!(values.get(*value), Value::Dict(_))).collect()
}

/// The complaint about a pickle without tensors.
fn nothing(values: &Values<'_>, top: Id) -> String {
    match values.get(top) {
        Value::Dict(pairs) => {
            let keys: Vec<String> = values.entries(top).take(20).map(|(key, _)| format!("{:?}", short(key))).collect();
            let (count, keys) = (pairs.len(), keys.join(", "));
            format!("no tensors under \"model_state\", \"state_dict\", \"model\" or the like; its {count} keys are: {keys}")
        }
        Value::Object(class) if class.module.starts_with("__torch__") => {
            "a TorchScript program; save the state_dict() of the model that it was made from".to_owned()
        }
        Value::Object(class) => {
            format!("it holds an object of {class} rather than a dictionary of tensors; save the state_dict() of a model")
        }
        other => format!("it holds {} rather than a dictionary of tensors", other.kind()),
    }
}
