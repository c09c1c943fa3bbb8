//! `orthoformer track`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use image::RgbImage;
use orthoformer::gpu::{AdapterChoice, EngineOptions};
use orthoformer::ops::Approximation;
use orthoformer::{Error, Result};
use orthoformer_cpu::Executor;
use orthoformer_video::Clip;
use orthoformer_video::export::Export;
use orthoformer_video::files::make_sure_of_place;
use orthoformer_video::output::{self, TrackReport};
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{ScaledClip, Track, TrackOptions};

use super::ExecutorArg;
use super::approximation::ApproximationArgs;
use super::clips::{Clips, DamageArgs};
use super::export::ExportArgs;
use super::interrupt;
use super::network::CLIPS;
use super::terminal::{complain, complain_notes, on_device, print_json, print_line, print_text, progress};

#[derive(Args)]
pub(super) struct TrackArgs {
    /// Clip, or `-` for standard input.
    ///
    /// MP4, GIF, APNG, WebP, y4m, a folder of pictures, or anything that ffmpeg reads where it is installed.
    clip: PathBuf,
    /// The point to follow, pixels of the clip [default: the centre].
    #[arg(long, value_name = "X,Y", value_parser = point, allow_hyphen_values = true)]
    at: Option<(f64, f64)>,
    /// The frame that the point is in, from 0.
    #[arg(long, value_name = "K", default_value_t = 0)]
    frame: usize,
    /// Folder for pictures and numbers.
    ///
    /// overlay.gif, sheet.png and track.json.
    #[arg(long, value_name = "DIR", default_value = "track")]
    out: PathBuf,
    /// Most frames to follow.
    #[arg(long, help_heading = CLIPS, value_name = "N", default_value_t = 240)]
    frames: usize,
    /// Take every Nth frame of the clip.
    #[arg(long, help_heading = CLIPS, value_name = "N", default_value_t = 1)]
    stride: usize,
    #[command(flatten)]
    damage: DamageArgs,
    #[command(flatten)]
    cutting: CuttingArgs,
    #[command(flatten)]
    export: ExportArgs,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    approximation: ApproximationArgs,
}

/// How clips are cut and followed; shared with `demo`.
#[derive(Args)]
pub(super) struct CuttingArgs {
    /// Short side that frames are scaled to, pixels.
    #[arg(long, help_heading = CLIPS, default_value_t = 224, hide_short_help = true)]
    size: u32,
    /// Side of a patch, pixels of the scaled frame.
    #[arg(long, help_heading = CLIPS, default_value_t = 16, hide_short_help = true)]
    patch: u32,
    /// Frames in a patch.
    #[arg(long, help_heading = CLIPS, default_value_t = 2, hide_short_help = true)]
    depth: u32,
    /// Temperature of the attention: lower is sharper.
    #[arg(long, value_name = "T", default_value_t = TrackOptions::default().temperature)]
    temperature: f32,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Auto, hide_short_help = true)]
    pub executor: ExecutorArg,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl CuttingArgs {
    pub fn grid(&self, width: u32, height: u32) -> Result<Grid> {
        Grid::new(width, height, self.size, self.patch, self.depth)
    }

    pub fn options(&self, at: Option<(f64, f64)>, frame: usize) -> TrackOptions {
        TrackOptions { temperature: self.temperature, at, frame }
    }

    pub fn open(&self, choice: AdapterChoice) -> Result<Executor> {
        self.executor.open(&EngineOptions { choice, ..EngineOptions::default() })
    }
}

pub(super) fn main(args: &TrackArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let approximation = args.approximation.wanted()?.unwrap_or_default();
    let (path, kept) = Clips::one(&args.clip)?;
    interrupt::listen();
    let clip = Clip::open_with(&path, args.damage.damage())?;
    check_frame(args, clip.frame_count)?;
    let grid = args.cutting.grid(clip.width, clip.height)?;
    if let Some((x, y)) = args.at {
        grid.anchored(x, y)?;
    }
    if grid.patches() < 2 {
        let given = format!("{} x {} pixels cut into {} patch", clip.width, clip.height, grid.patches());
        let expected =
            "several patches a frame, or there is nothing to choose from: a larger --size, or a smaller --patch".to_owned();
        return Err(Error::Argument { what: "clip", given, expected });
    }
    make_sure_of_place(&args.out)?;
    args.export.check(&path)?;
    let executor = args.cutting.open(choice)?;
    let frame_rate = clip.frame_rate.map(|rate| rate / args.stride as f64);
    let (frames, count, notes) = decode(clip, &grid, (args.frames, args.stride))?;
    complain_notes(kept.shown(&path), &notes);
    check_frame(args, Some(count))?;
    if frames.len() == args.frames && count > args.frames * args.stride {
        complain(&format!(
            "note: the clip is longer; its first {} frames are followed (--frames N for more, --stride N to skip)",
            args.frames
        ));
    }
    let clip = ScaledClip::new(grid, frames)?;
    // Frames are named as the clip counts them; the track counts those that were taken.
    let options = args.cutting.options(args.at, args.frame / args.stride);
    let track = follow(&clip, &options, &approximation, &executor)?;
    let mut report = report(&name(&args.clip), clip.frames(), &track, &options, &executor, frame_rate);
    report.attention = approximation.to_string();
    report.frame = args.frame;
    report.frames.iter_mut().for_each(|frame| frame.frame *= args.stride);
    let paths = write(&args.out, clip.frames(), &track, &report)?;
    if !args.cutting.json {
        print_report(&report)?;
        print_written(&paths)?;
    }
    let numbers: Vec<usize> = report.frames.iter().map(|entry| entry.frame).collect();
    let damage = args.damage.damage();
    let more = args.export.write(&Export { clip: &path, damage, track: &track, numbers: &numbers, frame_rate })?;
    if args.cutting.json {
        print_json(&report)?
    } else {
        print_written(&more)?
    }
    Ok(ExitCode::SUCCESS)
}

/// Says where files are.
pub(super) fn print_written(paths: &[PathBuf]) -> Result<()> {
    paths.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))
}

/// Whether the frame that is pointed into is among those that are taken; `count` is the clip's number of frames, where known.
fn check_frame(args: &TrackArgs, count: Option<usize>) -> Result<()> {
    for (what, given) in [("frames", args.frames), ("stride", args.stride)] {
        if given == 0 {
            return Err(Error::ZeroSize { what });
        }
    }
    let wrong = |expected: String| Error::Argument { what: "frame", given: args.frame.to_string(), expected };
    if !args.frame.is_multiple_of(args.stride) {
        return Err(wrong(format!("a multiple of the stride {}", args.stride)));
    }
    if args.frame / args.stride >= args.frames {
        return Err(wrong(format!("one of the first {} that are followed (--frames N for more)", args.frames)));
    }
    match count {
        Some(count) if args.frame >= count => {
            Err(Error::OutOfRange { what: "frame", index: args.frame as u64, count: count as u64 })
        }
        _ => Ok(()),
    }
}

/// Decodes and scales `most` frames, every `stride`th; the second value is how many were decoded, one more than needed if the clip is longer, and the
/// third what the clip has to say.
pub(super) fn decode(mut clip: Clip, grid: &Grid, (most, stride): (usize, usize)) -> Result<(Vec<RgbImage>, usize, Vec<String>)> {
    let expected = clip.frame_count.map_or(most, |count| count.div_ceil(stride).min(most));
    let bar = progress("decoding", expected);
    let (mut frames, mut count) = (Vec::new(), 0);
    for (index, frame) in clip.by_ref().enumerate() {
        // Frames that are left out are decoded too: what comes after damage cannot be trusted.
        let frame = frame?;
        count = index + 1;
        if !index.is_multiple_of(stride) {
            continue;
        }
        if frames.len() == most {
            break;
        }
        frames.push(grid.scale(&frame));
        interrupt::step(&bar, frames.len())?;
    }
    bar.finish_and_clear();
    Ok((frames, count, clip.notes()))
}

pub(super) fn follow(
    clip: &ScaledClip,
    options: &TrackOptions,
    approximation: &Approximation,
    executor: &Executor,
) -> Result<Track> {
    let bar = progress("following", 1);
    let track = clip.follow_with(options, approximation, executor);
    bar.finish_and_clear();
    interrupt::step(&bar, 1)?;
    track
}

pub(super) fn write(folder: &Path, frames: &[RgbImage], track: &Track, report: &TrackReport) -> Result<Vec<PathBuf>> {
    let bar = progress("drawing", frames.len());
    let paths = output::write(folder, frames, track, report, |done| interrupt::step(&bar, done));
    bar.finish_and_clear();
    paths
}

pub(super) fn report(
    clip: &str,
    frames: &[RgbImage],
    track: &Track,
    options: &TrackOptions,
    executor: &Executor,
    frame_rate: Option<f64>,
) -> TrackReport {
    let (patch_width, patch_height) = track.grid.patch_size();
    TrackReport {
        clip: clip.to_owned(),
        executor: executor.describe(),
        width: track.grid.source_width,
        height: track.grid.source_height,
        frame_rate,
        at: track.point.into(),
        frame: options.frame,
        patch_size: [patch_width, patch_height],
        patch_depth: track.grid.depth,
        grid: [track.grid.columns, track.grid.rows],
        temperature: options.temperature,
        attention: Approximation::Exact.to_string(),
        device_bytes: track.device_bytes,
        frames: TrackReport::frames_of(track, frames.len()),
    }
}

pub(super) fn print_report(report: &TrackReport) -> Result<()> {
    print_text(&format!("{}: {} x {}, {} frames", report.clip, report.width, report.height, report.frames.len()))?;
    let [columns, rows] = report.grid;
    let (x, y, frame) = (report.at.x, report.at.y, report.frame);
    print_text(&format!("followed the patch at {x:.0},{y:.0} of frame {frame}, on a grid of {columns} x {rows} patches"))?;
    let attention = &report.attention;
    print_text(&format!("{attention} attention on {}{}", report.executor, on_device(report.device_bytes)))?;
    let mut shown: Vec<_> =
        [report.frames.first(), report.frames.iter().find(|entry| entry.frame == frame), report.frames.last()]
            .into_iter()
            .flatten()
            .collect();
    shown.dedup_by_key(|entry| entry.frame);
    for entry in shown {
        print_text(&entry.to_string())?;
    }
    let apart = report.frames.iter().filter(|entry| {
        let distance = entry.centroid.zip(entry.peak).map(|(a, b)| (a.x - b.x).hypot(a.y - b.y));
        distance.is_some_and(|distance| distance > report.patch_size[0].max(report.patch_size[1]))
    });
    match apart.count() {
        0 => Ok(()),
        count => {
            print_text(&format!("in {count} frames attention is in several places: centroid and peak are over a patch apart"))
        }
    }
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(super) fn point(text: &str) -> std::result::Result<(f64, f64), String> {
    let parsed = text.split_once(',').and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)));
    parsed.ok_or_else(|| "expected two numbers with a comma between, for example 88,72".to_owned())
}
