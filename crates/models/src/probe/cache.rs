//! Features that are kept, a file a clip, so that they are made once.
//!
//! A file's name is a digest of the clip's bytes and of all that its features depend on: a clip that moved is found again, a changed one is not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use half::f16;
use half::vec::HalfFloatVecExt as _;
use orthoformer::{Error, Result, Tensor};
use orthoformer_video::files::make_folder;
use safetensors::Dtype;

use super::kept::{FEATURES, Kept};
use super::source::{FeatureOptions, facts};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::write::{Outline, write_tensors};
use crate::digest::Digest;
use crate::features::{ClipFeatures, features};
use crate::model::Model;
use crate::watch::{Progress, Watched};

/// Features of clips, `[views, channels]` or of all patches, `None` for those that could not be watched: those that a folder keeps, and those that are made now, each of which it
/// keeps as soon as it is done. `progress` takes what is known of the clips that are watched, and is told of the views of all.
///
/// # Errors
/// [`Error::File`]; [`Error::Argument`] for clips with the same contents; those of [`features`].
pub fn kept_features(
    model: &Model<'_>,
    clips: &[PathBuf],
    options: &FeatureOptions,
    folder: &Path,
    progress: &mut impl Progress<Watched>,
) -> Result<ControlFlow<(), Vec<Option<Kept>>>> {
    let cache = Cache::new(model, options, folder)?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for clip in clips {
        if progress.flow().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        paths.push(cache.path(clip)?);
    }
    refuse_equal(clips, &paths)?;
    let mut kept: Vec<Option<Kept>> = paths.iter().map(|path| cache.load(path)).collect();
    let views = options.views.count() as usize;
    let missing: Vec<usize> = (0..clips.len()).filter(|&clip| kept[clip].is_none()).collect();
    (0..views * (clips.len() - missing.len())).for_each(|_| progress.view());
    if missing.is_empty() {
        return Ok(ControlFlow::Continue(kept));
    }
    make_folder(folder)?;
    let wanted: Vec<PathBuf> = missing.iter().map(|&clip| clips[clip].clone()).collect();
    let mut keeper = Keeper { cache: &cache, paths: &paths, missing: &missing, kept: &mut kept, progress };
    let FeatureOptions { layer, tokens, views, batch } = *options;
    let flow = features(model, &wanted, (views, batch), (layer, tokens), &mut keeper)?;
    Ok(if flow.is_break() { ControlFlow::Break(()) } else { ControlFlow::Continue(kept) })
}

/// Refuses a clip that is there twice: it would be judged by a head that was trained on it.
fn refuse_equal(clips: &[PathBuf], paths: &[PathBuf]) -> Result<()> {
    let mut known: BTreeMap<&Path, &Path> = BTreeMap::new();
    for (clip, path) in clips.iter().zip(paths) {
        if let Some(other) = known.insert(path, clip) {
            let given = format!("{} and {}", other.display(), clip.display());
            return Err(Error::Argument {
                what: "clips",
                given,
                expected: "clips that differ; these hold the same bytes".to_owned(),
            });
        }
    }
    Ok(())
}

/// A folder of features, for one way to make them.
struct Cache<'c> {
    folder: &'c Path,
    /// What they depend on beside the clip, as names and values.
    settings: BTreeMap<String, String>,
    /// The axes of a clip's features.
    shape: Vec<usize>,
    /// Whether they are stored as float16 and left in their files, being those of all patches.
    is_large: bool,
}

impl<'c> Cache<'c> {
    fn new(model: &Model<'_>, options: &FeatureOptions, folder: &'c Path) -> Result<Self> {
        let axes = model.config().network.tokens(options.layer)?;
        let more = [
            ("views", options.views.to_string()),
            ("storage", model.element().to_string()),
            ("orthoformer", orthoformer::VERSION.to_owned()),
        ];
        let all = facts(model, options.layer, options.tokens)?.into_iter().chain(more);
        let settings = all.map(|(name, value)| (name.to_owned(), value)).collect();
        let shape = options.tokens.axes(&axes, options.views.count() as usize);
        Ok(Self { folder, settings, shape, is_large: !options.tokens.is_row() })
    }

    /// The file of a clip's features.
    fn path(&self, clip: &Path) -> Result<PathBuf> {
        let mut digest = Digest::new();
        for (name, value) in &self.settings {
            digest.add(name);
            digest.add(value);
        }
        if clip.is_dir() {
            let entries = std::fs::read_dir(clip).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
            let entries = entries.map_err(Error::file("read the folder", clip))?;
            let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
            files.sort();
            for file in files {
                digest.add(file.file_name().unwrap_or_default().as_encoded_bytes());
                digest.add_file(&file)?;
            }
        } else {
            digest.add_file(clip)?;
        }
        Ok(self.folder.join(format!("{}.safetensors", digest.hex())))
    }

    /// The features in a file; `None` where there is none, or what there is cannot be used.
    fn load(&self, path: &Path) -> Option<Kept> {
        let file = Checkpoint::open(path).ok()?;
        let features = file.read(FEATURES).ok()?;
        let is_sound = features.shape() == self.shape && features.data().iter().all(|value| value.is_finite());
        is_sound.then_some(if self.is_large { Kept::InFile(file) } else { features.into() })
    }

    fn store(&self, path: &Path, features: Tensor) -> Result<Kept> {
        let halves: Vec<f16> = if self.is_large { Vec::from_f32_slice(features.data()) } else { Vec::new() };
        if let Some(value) = features.data().iter().zip(&halves).find_map(|(value, half)| half.is_infinite().then_some(value)) {
            let expected = "values up to 65504 in size, which is what float16 holds".to_owned();
            return Err(Error::WrongNumber { name: FEATURES.to_owned(), found: value.to_string(), expected });
        }
        let (dtype, bytes): (Dtype, &[u8]) = match self.is_large {
            true => (Dtype::F16, bytemuck::cast_slice::<f16, u8>(&halves)),
            false => (Dtype::F32, bytemuck::cast_slice(features.data())),
        };
        let outline = Outline { name: FEATURES, dtype, shape: features.shape() };
        write_tensors(path, path, &self.settings, &[outline], |_| Ok(Cow::Borrowed(bytes)))?;
        if self.is_large { Checkpoint::open(path).map(Kept::InFile) } else { Ok(features.into()) }
    }
}

/// Keeps features as they come.
struct Keeper<'k, P> {
    cache: &'k Cache<'k>,
    /// The file of each clip.
    paths: &'k [PathBuf],
    /// The clips that are watched, among all.
    missing: &'k [usize],
    kept: &'k mut [Option<Kept>],
    progress: &'k mut P,
}

impl<P: Progress<Watched>> Progress<ClipFeatures> for Keeper<'_, P> {
    fn view(&mut self) {
        self.progress.view();
    }

    fn clip(&mut self, clip: usize, made: ClipFeatures) -> Result<()> {
        let clip = self.missing[clip];
        if let Some(features) = made.features {
            self.kept[clip] = Some(self.cache.store(&self.paths[clip], features)?);
        }
        self.progress.clip(clip, made.watched)
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.progress.flow()
    }
}
