//! Where in a training checkpoint the tensors of the network are.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::archive::{Sound, short};
use super::pickle::value::{Id, Value, Values};

/// Keys of dictionaries of tensors, in the order in which the libraries that write them take them: averaged weights first where timm, which calls them so,
/// loads them; last where whoever trains has to ask for them.
const STATES: [&str; 17] = [
    "state_dict_ema",
    "model_state",
    "state_dict",
    "model",
    "model_state_dict",
    "module",
    "net",
    "network",
    "model_ema",
    "ema_state_dict",
    "ema",
    "ema_model",
    "target_encoder",
    "teacher",
    "student",
    "encoder",
    "backbone",
];

/// A dictionary of tensors, and the others that were passed over for it.
pub(super) struct State {
    pub dict: Id,
    /// Its key; none for the outermost dictionary.
    pub key: Option<String>,
    /// Keys of others that may be as good.
    pub others: Vec<String>,
}

/// The dictionary of the tensors of a pickle whose outermost value is `top`: under one of the keys above, or the only one, or the outermost itself.
pub(super) fn state(values: &Values<'_>, top: Id) -> Sound<State> {
    let mut counts = Counts { values, counted: HashMap::new() };
    let own = counts.tensors(top);
    if let Some(found) = counts.within(top) {
        return Ok(found);
    }
    if own > 0 && 2 * own >= values.entries(top).count() {
        return Ok(State { dict: top, key: None, others: Vec::new() });
    }
    // A dictionary of dictionaries: what a trainer saves of another trainer's.
    let mut seen = HashSet::new();
    for (key, inner) in last_of_each(values, top) {
        if !seen.insert(inner) {
            continue;
        }
        if let Some(State { dict, key: inner_key, others }) = counts.within(inner) {
            let key = inner_key.map(|inner| format!("{}.{inner}", short(key)));
            return Ok(State { dict, key, others });
        }
    }
    Err(nothing(values, top))
}

/// Numbers of tensors in dictionaries, each counted once however often it is found.
struct Counts<'v, 'p> {
    values: &'v Values<'p>,
    counted: HashMap<Id, usize>,
}

impl Counts<'_, '_> {
    fn tensors(&mut self, dict: Id) -> usize {
        let values = self.values;
        let count = || values.entries(dict).filter(|(_, value)| matches!(values.get(*value), Value::Tensor(_))).count();
        *self.counted.entry(dict).or_insert_with(count)
    }

    /// The dictionary of tensors among the values of a dictionary.
    fn within(&mut self, dict: Id) -> Option<State> {
        let inner = last_of_each(self.values, dict);
        let filled: Vec<(&str, Id, usize)> =
            inner.into_iter().map(|(key, id)| (key, id, self.tensors(id))).filter(|(_, _, count)| *count > 0).collect();
        let named = STATES.iter().find_map(|state| filled.iter().find(|(key, _, _)| key == state));
        let most = filled.iter().max_by_key(|(_, _, count)| *count);
        // Under a key that nobody knows, only what has by far the most.
        let stands_out = |(key, id, count): &&(&str, Id, usize)| {
            filled.iter().all(|(other, same, fewer)| other == key || same == id || 2 * fewer < *count)
        };
        let &(key, dict, count) = named.or(most.filter(stands_out))?;
        let others = filled.iter().filter(|(other, id, others)| *other != key && *id != dict && 2 * others >= count);
        let others = others.take(8).map(|(other, _, _)| short(other)).collect();
        Some(State { dict, key: Some(short(key)), others })
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
