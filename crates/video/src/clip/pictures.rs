//! Clips made of pictures: GIF, PNG, and folders.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};
use orthoformer::{Error, Result};

use super::delays::{self, Kind};
use super::shield::shielded;
use super::{Clip, Damage, Facts, Frames, MAX_SIDE, Notes, contents, folders};

/// Opens a GIF.
pub(super) fn gif(path: &Path, damage: Damage) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "GIF", &error);
    let mut decoder = GifDecoder::new(reader(path)?).map_err(broken)?;
    decoder.set_limits(limits()).map_err(broken)?;
    animation(path, (Kind::Gif, "GIF"), decoder.into_frames(), damage)
}

/// Opens a PNG: all frames of an animated one, else the picture as a clip of one frame.
pub(super) fn png(path: &Path, damage: Damage) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "PNG", &error);
    let decoder = PngDecoder::with_limits(reader(path)?, limits()).map_err(broken)?;
    if !decoder.is_apng().map_err(broken)? {
        return still(path);
    }
    animation(path, (Kind::Apng, "APNG"), decoder.apng().map_err(broken)?.into_frames(), damage)
}

/// Opens a WebP: all frames of an animated one, else the picture as a clip of one frame.
pub(super) fn webp(path: &Path, damage: Damage) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "WebP", &error);
    let mut decoder = shielded(path, || WebPDecoder::new(reader(path)?).map_err(broken))?;
    if !decoder.has_animation() {
        return still(path);
    }
    decoder.set_limits(limits()).map_err(broken)?;
    animation(path, (Kind::WebP, "WebP"), decoder.into_frames(), damage)
}

/// Whether a picture moves: an animated PNG or WebP, or a GIF of more than one frame. One that is damaged counts as a clip, which says so itself.
pub(super) fn is_animation(path: &Path) -> bool {
    match image::ImageFormat::from_path(path) {
        Ok(ImageFormat::Png) => reader(path).is_ok_and(|file| {
            PngDecoder::with_limits(file, limits()).is_ok_and(|decoder| decoder.is_apng().is_ok_and(|is_apng| is_apng))
        }),
        Ok(ImageFormat::WebP) => shielded(path, || {
            let decoder = WebPDecoder::new(reader(path)?).map_err(|error| damaged(path, "WebP", &error))?;
            Ok(decoder.has_animation())
        })
        .unwrap_or(true),
        Ok(ImageFormat::Gif) => delays::is_animated_gif(path),
        _ => false,
    }
}

/// Opens a still picture as a clip of one frame.
pub(super) fn still(path: &Path) -> Result<Clip> {
    let path_of_frame = path.to_owned();
    let frames: Frames = Box::new(std::iter::once_with(move || picture(&path_of_frame)));
    Clip::from_frames(path, Facts { frame_count: Some(1), ..Facts::default() }, frames)
}

/// Opens a folder: its pictures in the natural order of their names.
pub(super) fn folder(path: &Path, damage: Damage) -> Result<Clip> {
    let files = folders::pictures(path)?;
    let (frame_count, notes) = (Some(files.len()), Notes::default());
    let frames = PicturesOfFolder { files: files.into_iter(), damage, notes: notes.clone(), shown: 0, lost: 0, reason: None };
    Clip::from_frames(path, Facts { frame_count, damage, notes, ..Facts::default() }, Box::new(frames))
}

/// The pictures of a folder, without those that are damaged if they are to be left out.
struct PicturesOfFolder {
    files: std::vec::IntoIter<PathBuf>,
    damage: Damage,
    notes: Notes,
    shown: usize,
    lost: usize,
    /// What is wrong with the first of those that are left out.
    reason: Option<Error>,
}

impl Iterator for PicturesOfFolder {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        for file in self.files.by_ref() {
            match picture(&file) {
                Err(error @ Error::Contents { .. }) if self.damage == Damage::LeftOut => {
                    self.lost += 1;
                    self.reason.get_or_insert(error);
                }
                picture => {
                    self.shown += 1;
                    return Some(picture);
                }
            }
        }
        let reason = self.reason.take()?;
        if self.shown == 0 {
            return Some(Err(reason));
        }
        let (lost, all) = (self.lost, self.lost + self.shown);
        self.notes.add(format!("Damaged: of {all} pictures {lost} are left out, the first of them for this: {reason}."));
        None
    }
}

/// Frames of an animation. Its delays give the frame rate.
fn animation(
    path: &Path,
    (kind, name): (Kind, &'static str),
    mut frames: image::Frames<'static>,
    damage: Damage,
) -> Result<Clip> {
    let owner = path.to_owned();
    let mut ended = false;
    let frames = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let frame = shielded(&owner, || frames.next().transpose().map_err(|error| damaged(&owner, name, &error)));
        ended = !matches!(frame, Ok(Some(_)));
        frame.transpose()
    });
    let frames = frames.map(|frame| Ok(DynamicImage::from(frame?.into_buffer()).into_rgb8()));
    let facts = Facts { frame_rate: delays::frame_rate(path, kind), damage, ..Facts::default() };
    Clip::from_frames(path, facts, Box::new(frames))
}

fn picture(path: &Path) -> Result<RgbImage> {
    shielded(path, || {
        let reader = ImageReader::open(path).map_err(Error::file("read", path))?;
        let mut reader = reader.with_guessed_format().map_err(Error::file("read", path))?;
        reader.limits(limits());
        Ok(reader.decode().map_err(|error| damaged(path, "picture", &error))?.into_rgb8())
    })
}

/// A hostile header must not make a decoder allocate without bound.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).map_err(Error::file("read", path))?))
}

fn damaged(path: &Path, kind: &str, error: &image::ImageError) -> Error {
    contents(path, &format!("damaged or truncated {kind}: {error}"))
}
