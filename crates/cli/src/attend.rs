//! `orthoformer attend`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer_cpu::Executor;
use orthoformer_models::{AttendOptions, Model, PointedPatch, Rollout};
use orthoformer_video::export::Export;
use orthoformer_video::files::make_sure_of_place;
use orthoformer_video::output::{Drawing, FrameReport, Point, write_drawing};
use orthoformer_video::track::{Sighting, Track};
use serde::Serialize;

use super::clips::Clips;
use super::export::ExportArgs;
use super::interrupt;
use super::network::NetworkArgs;
use super::terminal::{complain, on_device, print_json, print_text, progress};
use super::track::{name, point, print_written};

/// Show what a patch of a clip attends to in a network.
///
/// In a Motionformer that is its trajectory, in a Swin its window, in a Deformable Video Transformer its samples, as a trained block sees them; of a Perceiver
/// what the latent sees that attends most to it. Writes an animation, a contact sheet and numbers.
#[derive(Args)]
pub(super) struct AttendArgs {
    /// Clip, or `-` for standard input.
    ///
    /// MP4, GIF, APNG, WebP, y4m, a folder of pictures, or anything that ffmpeg reads where it is installed.
    clip: PathBuf,
    /// The point, pixels of the clip [default: the centre].
    ///
    /// Of the squares that the network can see of a frame, the one around it is taken.
    #[arg(long, value_name = "X,Y", value_parser = point, allow_hyphen_values = true)]
    at: Option<(f64, f64)>,
    /// The frame that the point is in, from 0.
    ///
    /// Of those that the network sees the nearest is taken.
    #[arg(long, value_name = "K", default_value_t = 0)]
    frame: usize,
    /// The block, from 0 [default: the last].
    ///
    /// Blocks of a Swin are counted through its stages, each of which has patches twice as large; a Perceiver attends to its inputs once.
    #[arg(long, value_name = "K")]
    layer: Option<u32>,
    /// The head, from 0, or `mean` of all.
    #[arg(long, value_name = "HEAD", value_parser = head, default_value = "mean")]
    head: Head,
    /// Roll attention out to the first block: of patch (default) or class.
    ///
    /// The product over the blocks up to the one that is shown of (A + I) / 2, where A is attention, the mean of all heads, and I the residual (Abnar and Zuidema, 2020).
    /// Of the patch's row, or the class token's. For networks that attend jointly, or divided between time and space.
    #[arg(
        long,
        value_name = "OF",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "patch",
        value_parser = rollout
    )]
    rollout: Option<Rollout>,
    /// Folder for pictures and numbers.
    ///
    /// overlay.gif, sheet.png and attend.json.
    #[arg(long, value_name = "DIR", default_value = "attend")]
    out: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    export: ExportArgs,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    network: NetworkArgs,
}

/// Which heads' attention is shown.
#[derive(Clone, Copy)]
struct Head(Option<u32>);

fn head(text: &str) -> std::result::Result<Head, String> {
    match text {
        "mean" => Ok(Head(None)),
        _ => text.parse().map(|head| Head(Some(head))).map_err(|_| "expected the number of a head, from 0, or mean".to_owned()),
    }
}

fn rollout(text: &str) -> std::result::Result<Rollout, String> {
    let found = Rollout::ALL.into_iter().find(|rollout| rollout.name() == text);
    found.ok_or_else(|| format!("expected {}", Rollout::ALL.map(Rollout::name).join(" or ")))
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("mean"),
            Some(head) => write!(f, "{head}"),
        }
    }
}

/// The numbers, as `attend.json` has them.
#[derive(Serialize)]
struct Report {
    clip: String,
    weights: PathBuf,
    executor: String,
    storage: String,
    network: String,
    /// Size of the clip's frames, pixels.
    width: u32,
    height: u32,
    /// The square of them that the network sees.
    square: SquareReport,
    /// The frames that it sees.
    sampled: Vec<usize>,
    /// Frames a second of those, where known.
    frame_rate: Option<f64>,
    layer: u32,
    /// A head's number, or `mean`.
    head: String,
    /// `patch` or `class`, where attention is rolled out from the layer to the first.
    rollout: Option<&'static str>,
    /// The point and the frame that were asked for.
    at: Point,
    asked_frame: usize,
    /// The frame that was taken for that.
    frame: usize,
    patch: PatchReport,
    /// Patches in a frame, columns and rows.
    grid: [u32; 2],
    device_bytes: u64,
    notes: Vec<String>,
    /// One entry a frame of patches.
    frames: Vec<StepReport>,
}

/// A square of the clip's frames, pixels.
#[derive(Serialize)]
struct SquareReport {
    name: &'static str,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// The followed patch.
#[derive(Serialize)]
struct PatchReport {
    column: u32,
    row: u32,
    /// The frame of patches that it is in.
    step: usize,
    /// Its centre in the clip, pixels.
    centre: Point,
    /// Its width and height in the clip, pixels.
    size: [f64; 2],
    /// Its frames.
    depth: u32,
}

/// Where attention is in a frame of patches.
#[derive(Serialize)]
struct StepReport {
    #[serde(flatten)]
    seen: FrameReport,
    /// All frames of the clip that its patches are of.
    of_frames: Vec<usize>,
    /// The share of this frame of patches; all together are one.
    temporal_weight: Option<f64>,
    /// The weights of its patches, row by row; all together are one.
    attention: Vec<f32>,
}

pub(super) fn main(args: &AttendArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let (checkpoint, config) = args.network.open()?;
    let options = AttendOptions { at: args.at, frame: args.frame, block: args.layer, head: args.head.0, rollout: args.rollout };
    let bar = progress("decoding", 0);
    make_sure_of_place(&args.out)?;
    let (clip, _kept) = Clips::one(&args.clip)?;
    interrupt::listen();
    let damage = config.protocol.damage;
    args.export.check(&clip)?;
    let found = PointedPatch::find(&clip, &config, options, |done, all| {
        bar.set_length(all as u64);
        interrupt::step(&bar, done)
    });
    bar.finish_and_clear();
    let mut found = found?;
    let complain_from =
        |known: usize, notes: &[String]| notes.iter().skip(known).for_each(|note| complain(&format!("note: {note}")));
    complain_from(0, &found.notes);
    let known = found.notes.len();
    let executor = args.network.executor(choice)?;
    let bar = progress("attending", 1);
    bar.tick();
    let model = args.network.model(&executor, checkpoint, config)?;
    let track = found.attend(&model);
    bar.finish_and_clear();
    let track = track?;
    interrupt::step(&bar, 1)?;
    complain_from(known, &found.notes);
    let report = report(args, &found, &track, (&model, &executor));
    let paths = draw(&args.out, &found, &track, &report)?;
    if !args.json {
        print_report(&report)?;
        print_written(&paths)?;
    }
    let (numbers, frame_rate) = (&found.frames, report.frame_rate);
    let more = args.export.write(&Export { clip: &clip, damage, track: &track, numbers, frame_rate })?;
    if args.json {
        print_json(&report)?
    } else {
        print_written(&more)?
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(folder: &Path, found: &PointedPatch, track: &Track, report: &Report) -> Result<Vec<PathBuf>> {
    let Report { clip, network, .. } = report;
    let title = format!("{clip}: {network}; {}; {}", layers(report), token(report, "patch at", report.at));
    let (frames, numbers) = (&found.pictures, &found.frames);
    let drawing = Drawing { frames, numbers, track, title: &title, frame_rate: report.frame_rate };
    let bar = progress("drawing", found.pictures.len());
    let paths = write_drawing(folder, &drawing, ("attend.json", report), |done| interrupt::step(&bar, done));
    bar.finish_and_clear();
    paths
}

/// Which layers and heads, in words.
fn layers(Report { layer, head, rollout, .. }: &Report) -> String {
    match (rollout, head.as_str()) {
        (Some(_), _) => format!("attention rolled out from layer {layer} to 0, mean of all heads"),
        (None, "mean") => format!("layer {layer}, mean of all heads"),
        (None, head) => format!("layer {layer}, head {head}"),
    }
}

/// Whose attention it is, in words.
fn token(report: &Report, what: &str, Point { x, y }: Point) -> String {
    match report.rollout {
        Some(class) if class == Rollout::Class.name() => "class token".to_owned(),
        _ => format!("{what} {x:.0},{y:.0} of frame {}", report.frame),
    }
}

fn report(args: &AttendArgs, found: &PointedPatch, track: &Track, (model, executor): (&Model<'_>, &Executor)) -> Report {
    let (grid, source) = (&found.grid, &found.source);
    let (patch_width, patch_height) = grid.patch_size();
    let (left, top) = grid.to_source(0.0, 0.0);
    let columns = f64::from(grid.columns);
    let (column, row) = found.patch;
    let steps = track.sightings.iter().zip(found.frames.chunks(grid.depth.max(1) as usize));
    Report {
        clip: name(&args.clip),
        weights: args.network.weights.clone(),
        executor: executor.describe(),
        storage: model.element().to_string(),
        network: model.config().network.title(),
        width: source.width,
        height: source.height,
        square: SquareReport {
            name: found.crop.name(grid.is_upright()),
            left,
            top,
            width: columns * patch_width,
            height: f64::from(grid.rows) * patch_height,
        },
        sampled: found.frames.clone(),
        frame_rate: found.frame_rate(),
        layer: found.block,
        head: args.head.to_string(),
        rollout: args.rollout.map(Rollout::name),
        at: found.at.into(),
        asked_frame: args.frame,
        frame: found.frame,
        patch: PatchReport {
            column,
            row,
            step: found.step,
            centre: grid.centre(column.into(), row.into()).into(),
            size: [patch_width, patch_height],
            depth: grid.depth,
        },
        grid: [grid.columns, grid.rows],
        device_bytes: track.device_bytes,
        notes: found.notes.clone(),
        frames: steps.map(|(sighting, frames)| step_report(track, sighting, frames)).collect(),
    }
}

fn step_report(track: &Track, sighting: &Sighting, frames: &[usize]) -> StepReport {
    StepReport {
        seen: FrameReport::new(frames.first().copied().unwrap_or(0), &track.grid, sighting),
        of_frames: frames.to_vec(),
        temporal_weight: sighting.temporal_weight,
        attention: sighting.weights.clone(),
    }
}

fn print_report(report: &Report) -> Result<()> {
    let Report { clip, width, height, sampled, square, patch, .. } = report;
    let (first, last) = (sampled.first().copied().unwrap_or(0), sampled.last().copied().unwrap_or(0));
    let seen = format!("the network sees {} frames from {first} to {last}, {} square", sampled.len(), square.name);
    print_text(&format!("{clip}: {width} x {height}; {seen}"))?;
    print_text(&format!("{}: the {}", layers(report), token(report, "patch around", patch.centre)))?;
    print_text(&format!("{} on {}{}", report.network, report.executor, on_device(report.device_bytes)))?;
    // A temporal weight says something even where the weights within the frame do not.
    let says_something =
        |step: &&StepReport| step.seen.centroid.is_some() || step.temporal_weight.is_some_and(|share| share >= 0.005);
    let (told, left_out): (Vec<_>, Vec<_>) = report.frames.iter().partition(says_something);
    for StepReport { seen, temporal_weight, .. } in told {
        let share = temporal_weight.map_or(String::new(), |weight| format!(", temporal weight {weight:.2}"));
        print_text(&format!("{seen}{share}"))?;
    }
    match left_out.len() {
        0 => Ok(()),
        1 => print_text("1 frame has no attention, or weights by construction"),
        count => print_text(&format!("{count} frames have no attention, or weights by construction")),
    }
}
