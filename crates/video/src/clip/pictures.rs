//! Clips made of pictures: GIF, PNG, and folders.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};
use orthoformer::{Error, Result};

use super::shield::shielded;
use super::{Clip, Frames, MAX_SIDE, contents, folders};

/// Opens a GIF.
pub(super) fn gif(path: &Path) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "GIF", &error);
    let mut decoder = GifDecoder::new(reader(path)?).map_err(broken)?;
    decoder.set_limits(limits()).map_err(broken)?;
    animation(path, "GIF", decoder.into_frames())
}

/// Opens a PNG: all frames of an animated one, else the picture as a clip of one frame.
pub(super) fn png(path: &Path) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "PNG", &error);
    let decoder = PngDecoder::with_limits(reader(path)?, limits()).map_err(broken)?;
    if !decoder.is_apng().map_err(broken)? {
        return still(path);
    }
    animation(path, "APNG", decoder.apng().map_err(broken)?.into_frames())
}

/// Opens a WebP: all frames of an animated one, else the picture as a clip of one frame.
pub(super) fn webp(path: &Path) -> Result<Clip> {
    let broken = |error: image::ImageError| damaged(path, "WebP", &error);
    let mut decoder = shielded(path, || WebPDecoder::new(reader(path)?).map_err(broken))?;
    if !decoder.has_animation() {
        return still(path);
    }
    decoder.set_limits(limits()).map_err(broken)?;
    animation(path, "WebP", decoder.into_frames())
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
        Ok(ImageFormat::Gif) => gif(path).is_ok_and(|mut clip| clip.nth(1).is_some()) || gif(path).is_err(),
        _ => false,
    }
}

/// Opens a still picture as a clip of one frame.
pub(super) fn still(path: &Path) -> Result<Clip> {
    let path_of_frame = path.to_owned();
    let frames: Frames = Box::new(std::iter::once_with(move || picture(&path_of_frame)));
    Clip::from_frames(path, None, Some(1), frames)
}

/// Opens a folder: its pictures in the natural order of their names.
pub(super) fn folder(path: &Path) -> Result<Clip> {
    let files = folders::pictures(path)?;
    let count = files.len();
    Clip::from_frames(path, None, Some(count), Box::new(files.into_iter().map(|file: PathBuf| picture(&file))))
}

/// Frames of an animation. Its delays give the frame rate: one over the first one.
fn animation(path: &Path, kind: &'static str, mut frames: image::Frames<'static>) -> Result<Clip> {
    let owner = path.to_owned();
    let mut ended = false;
    let mut next = move || {
        if ended {
            return None;
        }
        let frame = shielded(&owner, || frames.next().transpose().map_err(|error| damaged(&owner, kind, &error)));
        ended = !matches!(frame, Ok(Some(_)));
        frame.transpose()
    };
    let first = next();
    let rate = first.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(|frame| {
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        (numerator > 0).then(|| 1000.0 * f64::from(denominator) / f64::from(numerator))
    });
    let to_rgb = |frame: Result<image::Frame>| frame.map(|frame| DynamicImage::from(frame.into_buffer()).into_rgb8());
    Clip::from_frames(path, rate, None, Box::new(first.into_iter().chain(std::iter::from_fn(next)).map(to_rgb)))
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
