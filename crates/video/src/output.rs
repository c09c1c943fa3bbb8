//! What following a patch leaves behind: an animated overlay, a contact sheet, and numbers. Pictures of the clip's own size are in [`crate::export`].

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, ImageFormat, RgbImage};
use orthoformer::ops::Approximation;
use orthoformer::{Error, Result};
use serde::Serialize;

use super::colour_bar;
use super::draw::overlay;
use super::patches::Grid;
use super::sheet;
use super::track::{Sighting, Track};
use crate::files::{make_folder, write_whole};

/// The numbers of a track, as `track.json` has them.
#[derive(Clone, Debug, Serialize)]
pub struct TrackReport {
    /// The clip's name.
    pub clip: String,
    /// Adapter and driver, or the reference.
    pub executor: String,
    /// Size of the clip's frames, pixels.
    pub width: u32,
    /// Likewise.
    pub height: u32,
    /// Frames a second of the frames below, where known.
    pub frame_rate: Option<f64>,
    /// The point that was followed, pixels.
    pub at: Point,
    /// The frame that it was pointed out in.
    pub frame: usize,
    /// Width and height of a patch in the source picture, pixels.
    pub patch_size: [f64; 2],
    /// Frames in a patch.
    pub patch_depth: u32,
    /// Patches in a frame, columns and rows.
    pub grid: [u32; 2],
    /// Temperature of the softmax.
    pub temperature: f32,
    /// How attention was computed: exact, or which approximation.
    pub attention: String,
    /// Most bytes on the device at a time.
    pub device_bytes: u64,
    /// One entry a frame.
    pub frames: Vec<FrameReport>,
}

/// A point in the source picture.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Column, pixels.
    pub x: f64,
    /// Row, pixels.
    pub y: f64,
}

impl From<(f64, f64)> for Point {
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y }
    }
}

/// Where attention is in one frame of the clip.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FrameReport {
    /// The frame's number, from 0.
    pub frame: usize,
    /// Mean position under the attention weights, pixels; none where nothing is attended to, or weights are by construction.
    pub centroid: Option<Point>,
    /// Centre of the patch with the largest weight, pixels; none where there is no centroid.
    pub peak: Option<Point>,
    /// Its weight, 0 to 1.
    pub peak_weight: f64,
    /// Entropy of the weights, nats.
    pub entropy: f64,
    /// Whether the kind of attention alone decides the weights, whatever the clip shows.
    pub is_by_construction: bool,
}

impl TrackReport {
    /// The entries of all frames: those of one patch share theirs.
    pub fn frames_of(track: &Track, count: usize) -> Vec<FrameReport> {
        let frames = track.sightings.iter().flat_map(|sighting| std::iter::repeat_n(sighting, track.grid.depth as usize));
        frames.take(count).enumerate().map(|(frame, sighting)| FrameReport::new(frame, &track.grid, sighting)).collect()
    }
}

impl FrameReport {
    /// The entry of a frame.
    pub fn new(frame: usize, grid: &Grid, sighting: &Sighting) -> Self {
        let if_drawn = |point: (f64, f64)| sighting.is_drawn().then(|| point.into());
        Self {
            frame,
            centroid: if_drawn(sighting.centroid),
            peak: if_drawn(grid.centre(sighting.peak.0.into(), sighting.peak.1.into())),
            peak_weight: sighting.peak_weight,
            entropy: sighting.entropy,
            is_by_construction: sighting.is_by_construction,
        }
    }
}

impl std::fmt::Display for FrameReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frame, centroid, peak, peak_weight, entropy, is_by_construction } = self;
        write!(f, "frame {frame:4}: ")?;
        match (centroid, peak) {
            (Some(centroid), Some(peak)) => {
                write!(f, "attention at {:.1},{:.1}, ", centroid.x, centroid.y)?;
                write!(f, "peak {peak_weight:.2} at {:.1},{:.1}, entropy {entropy:.2} nats", peak.x, peak.y)
            }
            _ if *is_by_construction => f.write_str("by construction, whatever the clip shows"),
            _ => f.write_str("no attention"),
        }
    }
}

/// Frames a second where nothing is known.
const USUAL_RATE: f64 = 10.0;

/// Frames a second of what is written.
pub(super) fn rate(known: Option<f64>) -> f64 {
    known.filter(|rate| rate.is_finite() && *rate > 0.0).unwrap_or(USUAL_RATE)
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'d> {
    /// The pictures that the track's grid cuts.
    pub frames: &'d [RgbImage],
    /// Their numbers in the clip.
    pub numbers: &'d [usize],
    /// The followed patch.
    pub track: &'d Track,
    /// What is written over the sheet.
    pub title: &'d str,
    /// Frames a second, where known.
    pub frame_rate: Option<f64>,
}

/// Writes `overlay.gif`, `sheet.png` and `track.json` into a folder, as [`write_drawing`] does.
///
/// # Errors
/// Those of [`write_drawing`].
pub fn write(
    folder: &Path,
    frames: &[RgbImage],
    track: &Track,
    report: &TrackReport,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    let TrackReport { clip, attention, at: Point { x, y }, frame, .. } = report;
    let is_exact = *attention == Approximation::Exact.to_string();
    let kind =
        if is_exact { format!("{attention} trajectory attention") } else { format!("trajectory attention by {attention}") };
    let title = format!("{clip}: {kind}; patch at {x:.0},{y:.0} of frame {frame}");
    let numbers: Vec<usize> = report.frames.iter().map(|entry| entry.frame).collect();
    let drawing = Drawing { frames, numbers: &numbers, track, title: &title, frame_rate: report.frame_rate };
    write_drawing(folder, &drawing, ("track.json", report), progress)
}

/// Writes `overlay.gif`, `sheet.png` and the report as JSON under its name into a folder, which is made if need be. Everything is drawn before
/// anything is written, and each file appears whole or not at all. `progress` is told after each frame of the overlay how many are drawn; its error ends the work.
///
/// # Errors
/// [`Error::File`] if the folder or a file cannot be written, [`Error::Contents`] if a picture cannot be encoded; those of `progress`.
pub fn write_drawing(
    folder: &Path,
    drawing: &Drawing<'_>,
    (json_name, report): (&str, &impl Serialize),
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    let paths = ["overlay.gif", "sheet.png", json_name].map(|name| folder.join(name));
    let mut json = serde_json::to_vec_pretty(report).map_err(|error| broken(&paths[2], &error))?;
    json.push(b'\n');
    let png = png(&paths[1], sheet::draw(drawing))?;
    let gif = animation(&paths[0], drawing, progress)?;
    make_folder(folder)?;
    for (path, bytes) in paths.iter().zip([gif, png, json]) {
        write_whole(path, &bytes)?;
    }
    Ok(paths.to_vec())
}

fn animation(path: &Path, drawing: &Drawing<'_>, mut progress: impl FnMut(usize) -> Result<()>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Browsers slow frames of under 20 ms down.
    let milliseconds = (1000.0 / rate(drawing.frame_rate)).round().clamp(20.0, 5000.0) as u32;
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    encoder.set_repeat(Repeat::Infinite).map_err(|error| broken(path, &error))?;
    for (index, frame) in drawing.frames.iter().enumerate() {
        let step = index / drawing.track.grid.depth as usize;
        let mut drawn = overlay(frame, drawing.track, step);
        colour_bar::stamp(&mut drawn, drawing.track);
        let frame = Frame::from_parts(DynamicImage::from(drawn).into_rgba8(), 0, 0, Delay::from_numer_denom_ms(milliseconds, 1));
        encoder.encode_frame(frame).map_err(|error| broken(path, &error))?;
        progress(index + 1)?;
    }
    drop(encoder);
    Ok(bytes)
}

/// A picture as the bytes of a PNG file.
pub(super) fn png(path: &Path, picture: RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, ImageFormat::Png).map_err(|error| broken(path, &error))?;
    Ok(bytes.into_inner())
}

fn broken(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::Contents { path: path.to_owned(), reason: format!("cannot be encoded: {error}") }
}
