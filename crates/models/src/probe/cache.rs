//! Features that are kept, a file a clip, so that they are made once.
//!
//! A file's name is a digest of the clip's bytes and of all that its features depend on: a clip that moved is found again, a changed one is not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use half::f16;
use half::vec::HalfFloatVecExt as _;
use orthoformer::{Error, Result, Tensor};
use orthoformer_video::files::make_folder;
use safetensors::Dtype;

use super::kept::{FEATURES, Kept, KeptClip};
use super::source::{FeatureOptions, facts};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::write::{Outline, write_tensors};
use crate::digest::Digest;
use crate::features::{ClipFeatures, features};
use crate::model::Model;
use crate::watch::{Progress, Watched};

/// The metadata's key with what people should know of a clip, as a list of JSON.
const NOTES: &str = "notes";

/// Features of clips, `[views, channels]` or of all patches, `None` for those that could not be watched: those that a folder keeps, and
/// those that are made now, each of which it keeps as soon as it is done. `progress` takes what is known of the clips that are watched, and
/// is told of the views of all.
///
/// # Errors
/// [`Error::File`]; [`Error::Argument`] for clips with the same contents; those of [`features`].
pub fn kept_features(
    model: &Model<'_>,
    clips: &[PathBuf],
    options: &FeatureOptions,
    folder: &Path,
    progress: &mut impl Progress<Watched>,
) -> Result<ControlFlow<(), Vec<Option<KeptClip>>>> {
    let cache = Cache::new(model, options, folder)?;
    let mut places: Vec<Place> = Vec::new();
    for clip in clips {
        if progress.flow().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        places.push(cache.place(clip)?);
    }
    refuse_equal(clips, &places)?;
    let mut kept: Vec<Option<KeptClip>> = places.iter().map(|place| cache.load(&place.path)).collect();
    let views = options.views.count() as usize;
    let missing: Vec<usize> = (0..clips.len()).filter(|&clip| kept[clip].is_none()).collect();
    (0..views * (clips.len() - missing.len())).for_each(|_| progress.view());
    if missing.is_empty() {
        return Ok(ControlFlow::Continue(kept));
    }
    make_folder(folder)?;
    let wanted: Vec<PathBuf> = missing.iter().map(|&clip| clips[clip].clone()).collect();
    let mut keeper = Keeper { cache: &cache, clips, places: &places, missing: &missing, kept: &mut kept, progress };
    let FeatureOptions { layer, tokens, views, batch } = *options;
    let flow = features(model, &wanted, (views, batch), (layer, tokens), &mut keeper)?;
    Ok(if flow.is_break() { ControlFlow::Break(()) } else { ControlFlow::Continue(kept) })
}

/// Refuses a clip that is there twice: it would be judged by a head that was trained on it.
fn refuse_equal(clips: &[PathBuf], places: &[Place]) -> Result<()> {
    let mut known: BTreeMap<&Path, &Path> = BTreeMap::new();
    for (clip, Place { path, .. }) in clips.iter().zip(places) {
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

/// Length of a file, and when it was changed last, where that is known.
type Stamp = (u64, Option<SystemTime>);

/// Where a clip's features are kept.
struct Place {
    path: PathBuf,
    /// Those of the clip's files when their bytes were looked at.
    stamps: Vec<Stamp>,
}

/// The files of a clip.
fn files_of(clip: &Path) -> Result<Vec<PathBuf>> {
    if !clip.is_dir() {
        return Ok(vec![clip.to_owned()]);
    }
    let entries = std::fs::read_dir(clip).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(Error::file("read the folder", clip))?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn stamps_of(files: &[PathBuf]) -> Result<Vec<Stamp>> {
    let stamp = |file: &PathBuf| {
        let about = file.metadata().map_err(Error::file("read", file))?;
        Ok((about.len(), about.modified().ok()))
    };
    files.iter().map(stamp).collect()
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
            ("damage", format!("{:?}", model.config().protocol.damage)),
            ("orthoformer", orthoformer::VERSION.to_owned()),
        ];
        let all = facts(model, options.layer, options.tokens)?.into_iter().chain(more);
        let settings = all.map(|(name, value)| (name.to_owned(), value)).collect();
        let shape = options.tokens.axes(&axes, options.views.count() as usize);
        Ok(Self { folder, settings, shape, is_large: !options.tokens.is_row() })
    }

    /// The file of a clip's features.
    fn place(&self, clip: &Path) -> Result<Place> {
        let mut digest = Digest::new();
        for (name, value) in &self.settings {
            digest.add(name);
            digest.add(value);
        }
        let files = files_of(clip)?;
        let stamps = stamps_of(&files)?;
        for file in files {
            if clip.is_dir() {
                digest.add(file.file_name().unwrap_or_default().as_encoded_bytes());
            }
            digest.add_file(&file)?;
        }
        Ok(Place { path: self.folder.join(format!("{}.safetensors", digest.hex())), stamps })
    }

    /// The features in a file; `None` where there is none, or what there is cannot be used.
    fn load(&self, path: &Path) -> Option<KeptClip> {
        let file = Checkpoint::open(path).ok()?;
        let features = file.read(FEATURES).ok()?;
        let is_sound = features.shape() == self.shape && features.data().iter().all(|value| value.is_finite());
        let notes = serde_json::from_str(file.metadata().get(NOTES)?).ok()?;
        let features = if self.is_large { Kept::InFile(file) } else { features.into() };
        is_sound.then_some(KeptClip { features, notes, is_old: true })
    }

    /// Why the features of a clip cannot be kept, if they cannot.
    fn obstacle(&self, clip: &Path, place: &Place, features: &Tensor) -> Option<Error> {
        let wrong = |reason| Some(Error::Contents { path: clip.to_owned(), reason });
        if files_of(clip).and_then(|files| stamps_of(&files)).ok().as_ref() != Some(&place.stamps) {
            return wrong("it changed while it was looked at".to_owned());
        }
        let is_beyond = |value: &&f32| self.is_large && f16::from_f32(**value).is_infinite();
        let value = features.data().iter().find(is_beyond)?;
        wrong(format!("a feature of it is {value}, and those of all patches are kept as float16, which ends at 65504"))
    }

    fn store(&self, path: &Path, features: Tensor, notes: &[String]) -> Result<Kept> {
        let halves: Vec<f16> = if self.is_large { Vec::from_f32_slice(features.data()) } else { Vec::new() };
        let mut metadata = self.settings.clone();
        metadata.insert(NOTES.to_owned(), serde_json::to_string(notes).map_err(Error::contents(path))?);
        let (dtype, bytes): (Dtype, &[u8]) = match self.is_large {
            true => (Dtype::F16, bytemuck::cast_slice::<f16, u8>(&halves)),
            false => (Dtype::F32, bytemuck::cast_slice(features.data())),
        };
        let outline = Outline { name: FEATURES, dtype, shape: features.shape() };
        write_tensors(path, path, &metadata, &[outline], |_| Ok(Cow::Borrowed(bytes)))?;
        if self.is_large { Checkpoint::open(path).map(Kept::InFile) } else { Ok(features.into()) }
    }
}

/// Keeps features as they come.
struct Keeper<'k, P> {
    cache: &'k Cache<'k>,
    clips: &'k [PathBuf],
    /// The file of each clip.
    places: &'k [Place],
    /// The clips that are watched, among all.
    missing: &'k [usize],
    kept: &'k mut [Option<KeptClip>],
    progress: &'k mut P,
}

impl<P: Progress<Watched>> Progress<ClipFeatures> for Keeper<'_, P> {
    fn view(&mut self) {
        self.progress.view();
    }

    fn clip(&mut self, clip: usize, made: ClipFeatures) -> Result<()> {
        let (clip, mut watched) = (self.missing[clip], made.watched);
        if let Some(features) = made.features {
            let place = &self.places[clip];
            watched.failure = self.cache.obstacle(&self.clips[clip], place, &features);
            if watched.failure.is_none() {
                let (features, notes) = (self.cache.store(&place.path, features, &watched.notes)?, watched.notes.clone());
                self.kept[clip] = Some(KeptClip { features, notes, is_old: false });
            }
        }
        self.progress.clip(clip, watched)
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.progress.flow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_said_of_the_clip() {
        let folder = tempfile::tempdir().expect("a folder");
        let (clip, row) = (folder.path().join("clip.mp4"), folder.path().join("kept"));
        std::fs::create_dir(&row).expect("made");
        std::fs::write(&clip, "a clip").expect("written");
        let features = |values: [f32; 2]| Tensor::new(vec![1, 2], values.to_vec()).expect("a row");
        for is_large in [true, false] {
            let cache = Cache { folder: &row, settings: BTreeMap::new(), shape: vec![1, 2], is_large };
            let place = cache.place(&clip).expect("reads");
            assert!(cache.obstacle(&clip, &place, &features([1.0, -65504.0])).is_none());
            let error = cache.obstacle(&clip, &place, &features([1.0, -7e4])).map(|error| error.to_string());
            let expected = format!("{}: a feature of it is -70000, and ", clip.display());
            assert!(error.map_or(!is_large, |error| is_large && error.starts_with(&expected)));
            let notes = vec!["A \"note\".".to_owned()];
            cache.store(&place.path, features([0.5, 2.0]), &notes).expect("writes");
            let found = cache.load(&place.path).expect("kept");
            assert_eq!((found.notes, found.is_old), (notes, true));
            assert_eq!(found.features.read().expect("reads").data(), [0.5, 2.0]);
            std::fs::write(&clip, format!("a longer clip, {is_large}")).expect("written");
            let error = cache.obstacle(&clip, &place, &features([1.0, 2.0])).expect("another clip").to_string();
            assert!(error.ends_with("clip.mp4: it changed while it was looked at"), "{error}");
        }
    }
}
