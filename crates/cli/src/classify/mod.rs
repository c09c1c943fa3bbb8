//! `orthoformer classify`.

mod live;
mod windows;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::AdapterChoice;
use orthoformer::{Error, Result};
use orthoformer_models::probe::Head;
use orthoformer_models::{Average, Config, Model, classify, labels};
use orthoformer_video::views::Views;
use serde::Serialize;

use super::clips::Clips;
use super::interrupt;
use super::network::{CLIPS, NetworkArgs};
use super::terminal::{complain, print_json, print_line};
use live::{Form, Live};

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
    /// Head of `probe train` to classify by, in place of the network's own.
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    head: Option<PathBuf>,
    #[command(flatten)]
    looks: LookArgs,
    /// Classes to name for each head [default: 5; 1 with --every].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Print the report as JSON; with --every an object a line.
    #[arg(long)]
    json: bool,
    /// Print a row a class as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    windows: windows::WindowArgs,
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
        let views = u64::from(self.views.count()) * clips as u64;
        match self.batch {
            Some(batch) => Ok(batch),
            None => model.largest_batch(BATCH_BYTES, views.min(LARGEST_BATCH.into()) as u32),
        }
    }

    /// For windows of clips, of which there are many; those of a stream do not wait for each other.
    fn batch_of_windows(&self, model: &Model<'_>, is_stream: bool) -> Result<u32> {
        if is_stream { Ok(self.batch.unwrap_or(1)) } else { self.batch(model, LARGEST_BATCH as usize) }
    }
}

#[derive(Serialize)]
struct Report {
    weights: PathBuf,
    /// Whose classes these are, where they are not the network's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<PathBuf>,
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
    /// How the checkpoint was read, and clips are made ready.
    notes: Vec<String>,
    /// Whether Ctrl-C or an error ended it: there are more clips than these.
    interrupted: bool,
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
    /// A class; one without a label is named by its number.
    fn of(class: usize, probability: f64, labels: Option<&[String]>) -> Self {
        let label = labels.and_then(|labels| labels.get(class)).cloned();
        Self { class, label: label.unwrap_or_else(|| format!("class {class}")), probability }
    }

    /// The likeliest classes.
    pub fn best(average: &Average, count: usize, labels: Option<&[String]>) -> Vec<Self> {
        average.top(count).into_iter().map(|(class, probability)| Self::of(class, probability, labels)).collect()
    }

    fn text(&self) -> String {
        format!("  {:5.1} %  {}", 100.0 * self.probability, self.label)
    }

    pub fn print(&self) -> Result<()> {
        print_line(&self.text())
    }
}

impl ClassifyArgs {
    fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Text,
        }
    }
}

pub(super) fn main(args: &ClassifyArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let (checkpoint, config, notes) = args.network.open_noted()?;
    let head = args.head.as_deref().map(Head::read).transpose()?;
    let labels = match &head {
        Some(head) => vec![Some(head.labels.clone())],
        None => read_labels(args, &config)?,
    };
    let (views, form) = (args.looks.views, args.form());
    let spec = config.views(views);
    spec.check()?;
    let windows = args.windows.spec(&spec.sampling)?;
    let mut clips = if windows.is_some() { Clips::streamed(&args.clips)? } else { Clips::of(&args.clips)? };
    let executor = args.network.executor(choice)?;
    let model = args.network.model(&executor, checkpoint, config)?;
    // Before the first row.
    head.as_ref().map_or(Ok(()), |head| head.check(&model))?;
    let top = args.top.unwrap_or(if windows.is_some() { 1 } else { 5 });
    if let Some(windows) = windows {
        let naming = (labels.as_slice(), top.into());
        return windows::main(args, (&model, head.as_ref(), &notes), &mut clips, naming, windows, &executor.describe());
    }
    let batch = args.looks.batch(&model, clips.paths.len())?;
    interrupt::listen();
    let mut live = Live::start(form, &clips, (&labels, top.into()), views)?;
    let flow = classify(&model, &clips.paths, (views, batch), head.as_ref(), &mut live);
    let done = live.finish(batch);
    if done.unread {
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report {
        weights: args.network.weights.clone(),
        head: args.head.clone(),
        executor: executor.describe(),
        storage: model.element().to_string(),
        attention: model.config().network.title(),
        views: views.to_string(),
        batch,
        device_bytes: model.device_bytes(),
        first_batch_milliseconds: done.first,
        milliseconds_a_view: done.a_view,
        notes,
        interrupted: !matches!(flow, Ok(ControlFlow::Continue(()))),
        clips: done.clips,
    };
    match form {
        Form::Json => print_json(&report)?,
        // Every row is there already.
        Form::Csv => {}
        Form::Text => live::print_summary(&report)?,
    }
    if flow?.is_break() {
        complain(&format!("interrupted: {} of {} clips classified", report.clips.len(), clips.paths.len()));
        return Ok(interrupt::exit_code());
    }
    let failed = report.clips.iter().any(|clip| clip.error.is_some());
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
