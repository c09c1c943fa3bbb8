//! `orthoformer classify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use orthoformer::gpu::AdapterChoice;
use orthoformer::{Error, Result};
use orthoformer_models::{Average, Classified, Config, Model, classify, labels};
use orthoformer_video::views::Views;
use serde::Serialize;

use super::clips::Clips;
use super::network::{CLIPS, NetworkArgs};
use super::terminal::{bytes, complain, print_json, print_line, print_text, progress};
use super::track::name;

/// Name what happens in clips, by a video transformer.
#[derive(Args)]
pub(super) struct ClassifyArgs {
    /// Clips, folders of clips, or `-` for standard input.
    ///
    /// A clip is MP4, GIF, APNG, WebP, y4m, a folder of pictures, or anything that ffmpeg reads where it is installed. Of a folder of clips each is shown,
    /// in the order of their names.
    #[arg(required = true)]
    clips: Vec<PathBuf>,
    /// Names of the classes; once for each head, in order.
    ///
    /// JSON (a list, an object between names and numbers, Hugging Face's config.json), comma- or tab-separated text, or a name a line, with its number if
    /// there is one.
    #[arg(long, value_name = "FILE")]
    labels: Vec<PathBuf>,
    #[command(flatten)]
    looks: LookArgs,
    /// Classes to name for each head.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Print a row a class as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    network: NetworkArgs,
}

/// How clips are looked at; shared by the commands that show clips to a network.
#[derive(Args)]
pub(super) struct LookArgs {
    /// Views of a clip: temporal x spatial, as 10x3.
    ///
    /// Spatial ones are 1 or 3.
    #[arg(long, help_heading = CLIPS, value_name = "TxS", default_value = "1x1")]
    pub views: Views,
    /// Views that go through the network together [default: what about a gigabyte of device memory holds, eight at most].
    #[arg(long, help_heading = CLIPS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), hide_short_help = true)]
    batch: Option<u32>,
}

/// Device memory that a batch may take where nothing is said, beside the weights; what is left over in the end takes as much again at the most.
const BATCH_BYTES: u64 = 1 << 29;
/// Larger batches hardly gain anything more.
const LARGEST_BATCH: u32 = 8;

impl LookArgs {
    pub fn batch(&self, model: &Model<'_>, clips: usize) -> Result<u32> {
        let views = u64::from(self.views.temporal * self.views.spatial) * clips as u64;
        match self.batch {
            Some(batch) => Ok(batch),
            None => model.largest_batch(BATCH_BYTES, views.min(LARGEST_BATCH.into()) as u32),
        }
    }
}

#[derive(Serialize)]
struct Report {
    weights: PathBuf,
    executor: String,
    storage: String,
    attention: String,
    views: String,
    batch: u32,
    /// Most bytes on the device at a time.
    device_bytes: u64,
    /// Until the first batch was through: weights uploaded, shaders compiled and clips decoded so far, too.
    first_batch_milliseconds: Option<f64>,
    /// Of the views after the first batch, where there are any.
    milliseconds_a_view: Option<f64>,
    clips: Vec<ClipReport>,
}

#[derive(Serialize)]
struct ClipReport {
    clip: String,
    error: Option<String>,
    notes: Vec<String>,
    frames: Option<usize>,
    frame_rate: Option<f64>,
    views: u32,
    /// For each head the likeliest classes.
    heads: Vec<Vec<Guess>>,
}

/// A class that a network names; shared with `demo`.
#[derive(Serialize)]
pub(super) struct Guess {
    class: usize,
    label: String,
    probability: f64,
}

impl Guess {
    /// The likeliest classes; those without a label are named by their numbers.
    pub fn best(average: &Average, count: usize, labels: Option<&[String]>) -> Vec<Self> {
        let guess = |(class, probability): (usize, f64)| {
            let label = labels.and_then(|labels| labels.get(class)).cloned();
            Self { class, label: label.unwrap_or_else(|| format!("class {class}")), probability }
        };
        average.top(count).into_iter().map(guess).collect()
    }

    pub fn print(&self) -> Result<()> {
        print_line(&format!("  {:5.1} %  {}", 100.0 * self.probability, self.label))
    }
}

pub(super) fn main(args: &ClassifyArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let (checkpoint, config) = args.network.open()?;
    let labels = read_labels(args, &config)?;
    config.views(args.looks.views).check()?;
    let clips = Clips::of(&args.clips)?;
    let executor = args.network.executor(choice)?;
    let model = args.network.model(&executor, checkpoint, config)?;
    let batch = args.looks.batch(&model, clips.paths.len())?;
    let views = args.looks.views;
    let total = clips.paths.len() * (views.temporal * views.spatial) as usize;
    let bar = progress("classifying", total);
    let (start, mut first) = (Instant::now(), None);
    let classified = classify(&model, &clips.paths, views, batch, || {
        first.get_or_insert_with(|| start.elapsed());
        bar.inc(1);
    });
    let all = start.elapsed();
    bar.finish_and_clear();
    let classified = classified?;
    let seen: u32 = classified.iter().map(|clip| clip.watched.views).sum();
    let reports =
        clips.paths.iter().zip(&classified).map(|(path, found)| clip_report(path, &clips, found, (&labels, args.top.into())));
    let report = Report {
        weights: args.network.weights.clone(),
        executor: executor.describe(),
        storage: model.element().to_string(),
        attention: model.config().network.title(),
        views: views.to_string(),
        batch,
        device_bytes: model.device_bytes(),
        first_batch_milliseconds: first.map(|first| first.as_secs_f64() * 1e3),
        milliseconds_a_view: first
            .filter(|_| seen > batch)
            .map(|first| (all - first).as_secs_f64() * 1e3 / f64::from(seen - batch)),
        clips: reports.collect(),
    };
    let failed = report.clips.iter().any(|clip| clip.error.is_some());
    if args.json {
        print_json(&report)?;
    } else if args.csv {
        print_csv(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Labels for each head: of the flags, else of the configuration; numbers where there are no names.
fn read_labels(args: &ClassifyArgs, config: &Config) -> Result<Vec<Option<Vec<String>>>> {
    let heads: Vec<u32> = config.network.logits().into_iter().map(|(_, classes)| classes).collect();
    if args.labels.is_empty() {
        return Ok(heads.iter().map(|_| config.labels.clone()).collect());
    }
    if args.labels.len() > heads.len() {
        let given = format!("{} files", args.labels.len());
        let expected = format!("at most {}: one for each head of the network", heads.len());
        return Err(Error::Argument { what: "--labels", given, expected });
    }
    let files = args.labels.iter().map(Some).chain(std::iter::repeat(None));
    heads.into_iter().zip(files).map(|(classes, file)| file.map(|file| labels::read(file, classes)).transpose()).collect()
}

fn clip_report(path: &Path, clips: &Clips, found: &Classified, (labels, top): (&[Option<Vec<String>>], usize)) -> ClipReport {
    let heads = found.heads.iter().zip(labels);
    let heads: Vec<Vec<Guess>> = heads.map(|(average, labels)| Guess::best(average, top, labels.as_deref())).collect();
    ClipReport {
        clip: clips.shown(path),
        error: found.watched.failure.as_ref().map(|error| clips.told(&error.to_string())),
        notes: found.watched.notes.clone(),
        frames: found.watched.source.map(|source| source.frames),
        frame_rate: found.watched.source.and_then(|source| source.fps),
        views: found.watched.views,
        heads,
    }
}

/// A row a class; a clip that failed is a row with its error.
fn print_csv(report: &Report) -> Result<()> {
    print_notes(report);
    let broken = |error: csv::Error| Error::Contents { path: "stdout".into(), reason: error.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["clip", "head", "rank", "class", "label", "probability", "error"]).map_err(broken)?;
    for clip in &report.clips {
        if let Some(error) = &clip.error {
            writer.write_record([clip.clip.as_str(), "", "", "", "", "", error]).map_err(broken)?;
        }
        for (head, guesses) in clip.heads.iter().enumerate().filter(|_| clip.error.is_none()) {
            for (rank, guess) in (1..).zip(guesses) {
                writer.serialize((&clip.clip, head, rank, guess.class, &guess.label, guess.probability, "")).map_err(broken)?;
            }
        }
    }
    let rows = writer.into_inner().map_err(|error| broken(error.into_error().into()))?;
    print_line(String::from_utf8_lossy(&rows).trim_end())
}

fn print_notes(report: &Report) {
    for clip in &report.clips {
        clip.notes.iter().for_each(|note| complain(&format!("note: {}: {note}", clip.clip)));
    }
}

fn print_report(report: &Report) -> Result<()> {
    print_notes(report);
    for clip in &report.clips {
        if let Some(error) = &clip.error {
            complain(&format!("error: {error}"));
            continue;
        }
        print_line(&name(Path::new(&clip.clip)))?;
        for (number, guesses) in clip.heads.iter().enumerate() {
            if clip.heads.len() > 1 {
                print_line(&format!("  head {number}"))?;
            }
            guesses.iter().try_for_each(Guess::print)?;
        }
    }
    let seen: u32 = report.clips.iter().map(|clip| clip.views).sum();
    if seen == 0 {
        return Ok(());
    }
    let memory = if report.device_bytes > 0 { format!(", {} on the device", bytes(report.device_bytes)) } else { String::new() };
    print_text(&format!("{} on {}", report.attention, report.executor))?;
    let views = if seen == 1 { "1 view".to_owned() } else { format!("{seen} views") };
    let first = report.first_batch_milliseconds.map(|time| match report.batch.min(seen) {
        1 => format!(", {time:.0} ms for the first"),
        batch => format!(", {time:.0} ms for the first {batch}"),
    });
    let others = report.milliseconds_a_view.map(|time| format!(", then {time:.0} ms a view"));
    let (first, others) = (first.unwrap_or_default(), others.unwrap_or_default());
    print_text(&format!("{views} ({} a clip){first}{others}{memory}", report.views))
}
