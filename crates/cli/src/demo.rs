//! `orthoformer demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer::ops::Approximation;
use orthoformer_cpu::Executor;
use orthoformer_models::{Average, ball};
use orthoformer_video::ball::{BallClip, HEIGHT, WIDTH};
use orthoformer_video::ball_motion::{FRAMES as MOTION_FRAMES, MotionClip};
use orthoformer_video::files::make_sure_of_place;
use orthoformer_video::output::{Point, TrackReport};
use orthoformer_video::track::ScaledClip;
use serde::Serialize;

use super::classify::Guess;
use super::terminal::{print_json, print_line, print_text, progress};
use super::track::{CuttingArgs, follow, print_report, report, write};

/// Frames of the rendered clip.
const FRAMES: usize = 32;
/// Classes that are named.
const GUESSES: usize = 3;

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Folder for pictures and numbers.
    ///
    /// overlay.gif, sheet.png and track.json.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Seed of the clip.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    cutting: CuttingArgs,
}

#[derive(Serialize)]
struct DemoReport {
    /// Distance between attention centroid and the ball's true centre, pixels: its mean over the frames.
    mean_distance: f64,
    /// Its largest value.
    worst_distance: f64,
    /// The frame it occurs in.
    worst_frame: usize,
    /// Shorter side of a patch, pixels: a track within this is as good as the grid.
    patch: f64,
    track: TrackReport,
    classified: ClassifiedReport,
}

/// What the shipped network says about a clip of its own kind.
#[derive(Serialize)]
struct ClassifiedReport {
    /// The motion that was rendered.
    truth: String,
    /// The likeliest classes.
    guesses: Vec<Guess>,
}

pub(super) fn main(args: &DemoArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let grid = args.cutting.grid(WIDTH, HEIGHT)?;
    make_sure_of_place(&args.out)?;
    let executor = args.cutting.open(choice)?;
    let ball = BallClip::render(args.seed, FRAMES);
    let bar = progress("scaling", FRAMES);
    let frames = ball.frames.iter().inspect(|_| bar.inc(1)).map(|frame| grid.scale(frame)).collect();
    bar.finish_and_clear();
    let clip = ScaledClip::new(grid, frames)?;
    let options = args.cutting.options(ball.centres.first().copied(), 0);
    let track = follow(&clip, &options, &Approximation::Exact, &executor)?;
    let track_report = report(&format!("ball {}", args.seed), clip.frames(), &track, &options, &executor, Some(12.5));
    let paths = write(&args.out, clip.frames(), &track, &track_report)?;
    let report = distances(&ball, track_report, classified(args.seed, &executor)?);
    if args.cutting.json {
        print_json(&report)?;
    } else {
        print_report(&report.track)?;
        let (mean, worst, frame) = (report.mean_distance, report.worst_distance, report.worst_frame);
        print_text(&format!(
            "distance from the ball's true path: {mean:.1} pixels on average, {worst:.1} at most (frame {frame})"
        ))?;
        print_line(&format!("a patch is {:.1} pixels, the ball {:.1} across", report.patch, 2.0 * ball.radius))?;
        print_classified(&report.classified)?;
        paths.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Renders a clip with a motion to name, and has the network name it.
fn classified(seed: u64, executor: &Executor) -> Result<ClassifiedReport> {
    let (clip, labels) = (MotionClip::render(seed), ball::labels()?);
    let model = ball::model(executor.into(), Approximation::Exact)?;
    let logits = model.forward(&model.config().clips(&[&clip.frames])?)?;
    let mut average = Average::default();
    logits.iter().for_each(|logits| average.add(logits.data()));
    let truth = labels.get(clip.class).cloned().unwrap_or_default();
    Ok(ClassifiedReport { truth, guesses: Guess::best(&average, GUESSES, Some(&labels)) })
}

fn print_classified(report: &ClassifiedReport) -> Result<()> {
    print_line(&format!(
        "motion in a clip of {MOTION_FRAMES} frames, which is \"{}\", as the shipped network sees it:",
        report.truth
    ))?;
    report.guesses.iter().try_for_each(Guess::print)
}

fn distances(ball: &BallClip, track: TrackReport, classified: ClassifiedReport) -> DemoReport {
    let pairs = track.frames.iter().zip(&ball.centres);
    let distance = |point: Point, (x, y): (f64, f64)| (point.x - x).hypot(point.y - y);
    // What is nowhere is infinitely far.
    let distances: Vec<f64> =
        pairs.map(|(entry, &centre)| entry.centroid.map_or(f64::INFINITY, |point| distance(point, centre))).collect();
    let worst = distances.iter().copied().enumerate().fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
    DemoReport {
        mean_distance: distances.iter().sum::<f64>() / distances.len().max(1) as f64,
        worst_distance: worst.1,
        worst_frame: worst.0,
        patch: track.patch_size[0].min(track.patch_size[1]),
        track,
        classified,
    }
}
