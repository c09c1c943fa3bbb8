//! The tuning cache: a file with the tuner's results for one adapter, driver and version of this crate.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use orthoformer::gpu::{AdapterSummary, Engine};
use orthoformer::kernel::Kernel;
use orthoformer::plan::Element;
use orthoformer::variant::{Trial, Tuning, TuningKey, Variant, VariantChoice, VariantRow};
use orthoformer::{Error, Result};
use orthoformer_video::files::{make_folder_of, write_whole};
use serde::{Deserialize, Serialize};

use crate::json::{ElementName, VariantName};

/// Value of `format` in the file.
const FORMAT: &str = "orthoformer tuning, second format";
/// A tuning cache is some kilobytes; a larger file is something else.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct CacheFile {
    format: String,
    orthoformer: String,
    adapter: String,
    multiply_adds_per_second: Option<f64>,
    best: Vec<BestEntry>,
    wrong: Vec<WrongEntry>,
}

#[derive(Serialize, Deserialize)]
struct BestEntry {
    kernel: String,
    sizes: String,
    #[serde(with = "VariantName")]
    variant: Variant,
    /// Name of the tile size, if it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    tile: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrongEntry {
    kernel: String,
    #[serde(with = "VariantName")]
    variant: Variant,
    #[serde(default, with = "ElementName")]
    element: Element,
    error: String,
}

/// This crate's folder in the platform's cache folder. `None` if there is none.
pub fn default_folder() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("orthoformer"))
}

/// Default path of an adapter's tuning cache, in the platform's cache folder. `None` if there is none.
pub fn default_path(adapter: &AdapterSummary) -> Option<PathBuf> {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = format!("{}-{}", adapter.name, adapter.backend).chars().map(plain).collect();
    Some(default_folder()?.join(format!("tuning-{name}.json")))
}

/// Writes an adapter's tuning cache, whole or not at all. Makes the folder if needed.
///
/// # Errors
/// [`Error::File`].
pub fn save(path: &Path, adapter: &AdapterSummary, tuning: &Tuning) -> Result<()> {
    let file = CacheFile {
        format: FORMAT.to_owned(),
        orthoformer: orthoformer::VERSION.to_owned(),
        adapter: adapter.to_string(),
        multiply_adds_per_second: tuning.multiply_adds_per_second,
        best: tuning.best.iter().map(best_entry).collect(),
        wrong: tuning.wrong.iter().map(wrong_entry).collect(),
    };
    make_folder_of(path)?;
    write_whole(path, &serde_json::to_vec_pretty(&file).map_err(Error::contents(path))?)
}

/// Saves the compiled pipelines of an engine in a folder, for [`pipeline_folder`](orthoformer::gpu::EngineOptions::pipeline_folder) of
/// later engines. Nothing happens unless the engine was given a folder and its device can keep pipelines.
///
/// # Errors
/// [`Error::File`].
pub fn save_pipelines(engine: &Engine, folder: &Path) -> Result<()> {
    engine.kept_pipelines().map_or(Ok(()), |(name, bytes)| write_whole(&folder.join(name), &bytes))
}

fn best_entry((key, &VariantChoice { variant, tile }): (&TuningKey, &VariantChoice)) -> BestEntry {
    let name = tile.and_then(|tile| tiles(key.kernel, variant).get(tile));
    let tile = name.map(|&name| name.to_owned());
    BestEntry { kernel: key.kernel.row().stem.to_owned(), sizes: key.sizes.clone(), variant, tile }
}

fn tiles(kernel: Kernel, variant: Variant) -> &'static [&'static str] {
    VariantRow::of(kernel, variant).map_or(&[], |row| row.tiles)
}

fn wrong_entry((&Trial { kernel, variant, element }, error): (&Trial, &String)) -> WrongEntry {
    WrongEntry { kernel: kernel.row().stem.to_owned(), variant, element, error: error.clone() }
}

/// Whether a file is a tuning cache, of any adapter and version.
pub fn is_cache(path: &Path) -> bool {
    let bytes = std::fs::metadata(path)
        .ok()
        .filter(|found| found.is_file() && found.len() <= MOST_BYTES)
        .and_then(|_| std::fs::read(path).ok());
    let value: Option<serde_json::Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.is_some_and(|value| value["format"] == FORMAT)
}

/// Reads an adapter's tuning cache; `None` if there is no file.
///
/// # Errors
/// [`Error::File`]; [`Error::Contents`] for a file that is damaged, something else, or of another adapter, driver or version.
pub fn load(path: &Path, adapter: &AdapterSummary) -> Result<Option<Tuning>> {
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(Error::file("read", path))?,
    };
    if !found.is_file() || found.len() > MOST_BYTES {
        return Err(wrong("not a file of some kilobytes, as a tuning cache is; `orthoformer tune` makes one".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    let file: CacheFile = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("not a tuning cache ({error}); `orthoformer tune` makes one")))?;
    let here = [FORMAT, orthoformer::VERSION, &adapter.to_string()].map(str::to_owned);
    let there = [file.format, file.orthoformer, file.adapter];
    if let Some((found, expected)) = there.iter().zip(&here).find(|(found, expected)| found != expected) {
        return Err(wrong(format!("made for {found:?}, this is {expected:?}; `orthoformer tune` makes a new one")));
    }
    let rate = file.multiply_adds_per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
    let mut tuning = Tuning { multiply_adds_per_second: rate, ..Tuning::default() };
    let kernel = |stem: &str| {
        let found = Kernel::ALL.iter().copied().find(|kernel| kernel.row().stem == stem);
        found.ok_or_else(|| wrong(format!("names a kernel {stem:?}, which there is not")))
    };
    for BestEntry { kernel: stem, sizes, variant, tile } in file.best {
        let kernel = kernel(&stem)?;
        let number = |name: String| {
            let found = tiles(kernel, variant).iter().position(|tile| *tile == name);
            found.ok_or_else(|| wrong(format!("names a tile size {name:?}, which {stem} as {variant} does not have")))
        };
        tuning.best.insert(TuningKey { kernel, sizes }, VariantChoice { variant, tile: tile.map(number).transpose()? });
    }
    for WrongEntry { kernel: stem, variant, element, error } in file.wrong {
        tuning.wrong.insert(Trial { kernel: kernel(&stem)?, variant, element }, error);
    }
    Ok(Some(tuning))
}
