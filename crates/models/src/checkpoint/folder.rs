//! Folders as `from_pretrained` takes them, and checkpoints in several files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};
use serde::Deserialize;

use super::Index;
use super::archive::short;
use super::beside::unmarked;
use super::source::Source;

/// Files of weights, in the order in which transformers takes them.
const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// What other files of weights end in.
const ENDINGS: [&str; 6] = ["safetensors", "bin", "pth", "pt", "pyth", "ckpt"];
/// What there may be in a folder instead.
const OTHERS: [(&str, &str); 6] = [
    (
        "adapter_model.safetensors",
        "a LoRA adapter: it changes the weights of another model; merge it into that and save the whole",
    ),
    ("adapter_model.bin", "a LoRA adapter: it changes the weights of another model; merge it into that and save the whole"),
    ("tf_model.h5", "weights of TensorFlow; those of PyTorch are read"),
    ("saved_model.pb", "a model of TensorFlow; checkpoints of PyTorch are read"),
    ("flax_model.msgpack", "weights of Flax; those of PyTorch are read"),
    ("model_index.json", "a pipeline of several models (diffusers)"),
];
/// No list of shards is so long, bytes.
const LONGEST_INDEX: u64 = 1 << 26;
/// Most shards of a checkpoint.
const MOST_SHARDS: usize = 1_000;
/// What the name of a list of shards has behind that of the whole checkpoint, and ends in; a variant, such as `fp16`, may be between.
const INDEX: [&str; 2] = [".index.", "json"];

/// The file of weights in a folder, or the file itself.
///
/// # Errors
/// [`Error::Contents`] for folders without one, and with several of which none is named as libraries name them; [`Error::File`].
pub(super) fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    if let Some(found) = WEIGHTS.iter().map(|name| path.join(name)).find(|path| path.is_file()) {
        return Ok(found);
    }
    let refused = |reason: String| Err(Error::Contents { path: path.to_owned(), reason });
    if let Some((_, what)) = OTHERS.iter().find(|(name, _)| path.join(name).is_file()) {
        return refused(format!("a folder with {what}"));
    }
    let (mut found, mut lists) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(Error::file("read", path))? {
        let file = entry.map_err(Error::file("read", path))?.path();
        let is_weights = file.extension().is_some_and(|ending| ENDINGS.iter().any(|own| ending.eq_ignore_ascii_case(own)));
        if is_weights && file.is_file() {
            found.push(file);
        } else if is_list(&file) {
            lists.push(file);
        }
    }
    // What a list has, it lists.
    if let [_, ..] = lists.as_slice() {
        found = lists;
    }
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => refused(format!("a folder without weights, such as {} or {}", WEIGHTS[0], WEIGHTS[2])),
        several => {
            let names: Vec<String> =
                several.iter().take(8).filter_map(|file| file.file_name()).map(|name| format!("{name:?}")).collect();
            refused(format!("a folder with {} files of weights ({}); say which", several.len(), names.join(", ")))
        }
    }
}

/// Whether a file lists the shards of a checkpoint.
pub(super) fn is_list(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let [behind, end] = INDEX;
    name.rsplit_once(behind).is_some_and(|(_, rest)| rest.rsplit('.').next() == Some(end))
}

/// Refuses one of several shards that is taken for a whole checkpoint.
///
/// # Errors
/// [`Error::Contents`] if its name says that it is one and the list lies beside it.
pub(super) fn refuse_shard(path: &Path) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((stem, ending)) = name.rsplit_once('.') else { return Ok(()) };
    // As in `model-00001-of-00004`.
    let Some((shard, count)) = stem.rsplit_once("-of-") else { return Ok(()) };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = shard.rsplit_once('-').filter(|(_, number)| is_number(number) && is_number(count));
    let Some((whole, _)) = whole.filter(|_| count.trim_start_matches('0') != "1") else { return Ok(()) };
    let list = path.with_file_name(format!("{whole}.{ending}{}", INDEX.concat()));
    if !list.is_file() {
        return Ok(());
    }
    let list = list.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let reason = format!("one of {} shards of a checkpoint; give their folder, or {list}", count.trim_start_matches('0'));
    Err(Error::Contents { path: path.to_owned(), reason })
}

/// The list of shards: which tensor is in which file.
#[derive(Deserialize)]
struct List {
    weight_map: BTreeMap<String, String>,
}

/// Opens all shards that a file lists.
///
/// # Errors
/// [`Error::File`]; [`Error::Contents`] for a list that cannot be read, and for shards and tensors that are not there.
pub(super) fn open_shards(path: &Path) -> Result<(Vec<Source>, Index)> {
    let refused = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(Error::file("read", path))?.len();
    if length > LONGEST_INDEX {
        return Err(refused(format!("{length} bytes are too many for a list of shards ({LONGEST_INDEX} at most)")));
    }
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let List { weight_map } =
        serde_json::from_str(unmarked(&text)).map_err(|error| refused(format!("no list of shards that can be read: {error}")))?;
    let names: BTreeSet<&String> = weight_map.values().collect();
    if names.is_empty() || names.len() > MOST_SHARDS {
        return Err(refused(format!("it lists {} shards; a checkpoint has 1 to {MOST_SHARDS}", names.len())));
    }
    let (mut sources, mut all) = (Vec::new(), Index::default());
    for name in names {
        if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
            return Err(refused(format!("its shard {:?} is not in the same folder", short(name))));
        }
        let shard = path.with_file_name(name);
        if !shard.is_file() {
            return Err(refused(format!("its shard {:?} is missing from the folder", short(name))));
        }
        let (source, index) = super::open_one(&shard)?;
        for (tensor, mut info) in index.tensors {
            // Lists leave out what is tied to another.
            if weight_map.get(&tensor).is_none_or(|own| own == name) {
                info.place.file = sources.len();
                all.tensors.insert(tensor, info);
            }
        }
        all.metadata.extend(index.metadata);
        all.notes.extend(index.notes.into_iter().filter(|note| !all.notes.contains(note)).collect::<Vec<_>>());
        sources.push(source);
    }
    match weight_map.iter().find(|(tensor, _)| !all.tensors.contains_key(*tensor)) {
        Some((tensor, shard)) => Err(refused(format!("tensor {:?} is not in its shard {:?}", short(tensor), short(shard)))),
        None => Ok((sources, all)),
    }
}
