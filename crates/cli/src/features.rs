//! `orthoformer features`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use orthoformer::gpu::AdapterChoice;
use orthoformer::{Error, Result, Tensors};
use orthoformer_models::{ClipFeatures, FeatureFormat, Features, Model, NetworkOutputs, Progress, Tokens, features};
use serde::Serialize;

use super::classify::LookArgs;
use super::clips::{self, Clips};
use super::interrupt;
use super::network::NetworkArgs;
use super::outputs::{ReplaceArgs, is_device};
use super::terminal::{complain, complain_notes, on_device, print_json, print_line, print_text, progress};
use super::track::name;

/// Write the tokens of a video transformer for clips.
///
/// A safetensors file has a tensor a clip and says in its metadata what made them; NumPy's .npy has the features of one clip, .npz an array a clip.
#[derive(Args)]
pub(super) struct FeaturesArgs {
    /// Clips, folders of clips, or `-` for standard input.
    ///
    /// Tensors have their file names.
    #[arg(required = true)]
    clips: Vec<PathBuf>,
    /// Where to write them: .safetensors, .npy or .npz.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    replace: ReplaceArgs,
    /// Tokens after this block, from 0 [default: the end].
    ///
    /// As the next block gets them; by default those after the last block and the final normalisation.
    #[arg(long, value_name = "K")]
    layer: Option<u32>,
    /// Which tokens: class, patches, mean or all.
    ///
    /// class [views, C], patches [views, F, Y, X, C], mean [views, C] of all patches, or all [views, 1+N, C], the class token first [default: class, or patches where
    /// there is no class token].
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    tokens: Option<Tokens>,
    #[command(flatten)]
    looks: LookArgs,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    network: NetworkArgs,
}

fn tokens(text: &str) -> std::result::Result<Tokens, String> {
    Tokens::named(text).ok_or_else(|| format!("expected one of {}", Tokens::ALL.map(Tokens::name).join(", ")))
}

#[derive(Serialize)]
struct Report {
    /// `None` where no clip could be decoded: nothing is written then.
    out: Option<PathBuf>,
    executor: String,
    storage: String,
    device_bytes: u64,
    /// As the file has it.
    metadata: BTreeMap<String, String>,
    /// Whether Ctrl-C or an error ended it: there are more clips than these.
    interrupted: bool,
    clips: Vec<ClipReport>,
}

#[derive(Serialize)]
struct ClipReport {
    clip: String,
    /// Name and shape of its tensor.
    tensor: String,
    shape: Option<Vec<usize>>,
    notes: Vec<String>,
    error: Option<String>,
}

pub(super) fn main(args: &FeaturesArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let format = match FeatureFormat::of(&args.out) {
        Err(_) if is_device(&args.out) => FeatureFormat::Safetensors,
        named => named?,
    };
    args.replace.check(&args.out)?;
    let clips = Clips::of(&args.clips)?;
    let names = names(&clips.paths)?;
    format.check(names.len())?;
    let (checkpoint, config) = args.network.open()?;
    config.views(args.looks.views).check()?;
    let layer = args.layer.map_or(Features::Final, Features::Block);
    NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING }.check(config.network.depth())?;
    let axes = config.network.tokens(layer)?;
    let tokens = args.tokens.unwrap_or_else(|| Tokens::usual(&axes));
    tokens.check(&axes)?;
    let executor = args.network.executor(choice)?;
    let model = args.network.model(&executor, checkpoint, config)?;
    let batch = args.looks.batch(&model, clips.paths.len())?;
    let views = args.looks.views;
    let bar = progress("looking", clips.paths.len() * views.count() as usize);
    interrupt::listen();
    let print = (!args.json).then_some(Ok(()));
    let mut live = Live { print, clips: &clips, names, bar, tensors: Tensors::new(), reports: Vec::new() };
    let flow = features(&model, &clips.paths, (views, batch), (layer, tokens), &mut live);
    let Live { print, bar, tensors, reports, .. } = live;
    bar.finish_and_clear();
    // Whatever happens, what is done is kept.
    let interrupted = !matches!(flow, Ok(ControlFlow::Continue(())));
    let metadata = metadata(args, tokens, &model);
    if !tensors.is_empty() {
        format.write(&args.out, &tensors, &metadata)?;
    }
    let report = Report {
        out: (!tensors.is_empty()).then(|| args.out.clone()),
        executor: executor.describe(),
        storage: model.element().to_string(),
        device_bytes: model.device_bytes(),
        metadata,
        interrupted,
        clips: reports,
    };
    print.transpose()?;
    if args.json {
        print_json(&report)?;
    } else {
        print_summary(&report)?;
    }
    if flow?.is_break() {
        complain(&format!("interrupted: {} of {} clips looked at", report.clips.len(), clips.paths.len()));
        return Ok(interrupt::exit_code());
    }
    let failed = report.clips.iter().any(|clip| clip.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the clips' tensors are called: no two alike.
fn names(clips: &[PathBuf]) -> Result<Vec<String>> {
    let names: Vec<String> = clips.iter().map(|clip| name(clip)).collect();
    // The format's own name for what is no tensor.
    const RESERVED: &str = "__metadata__";
    let mut known = BTreeSet::from([RESERVED]);
    match names.iter().find(|name| !known.insert(name.as_str())) {
        Some(taken) => {
            let expected = "clips of different file names, as these are the names of their tensors".to_owned();
            let given = if taken == RESERVED { taken.clone() } else { format!("{taken} twice") };
            Err(Error::Argument { what: "clips", given, expected })
        }
        None => Ok(names),
    }
}

/// What the file says about itself.
fn metadata(args: &FeaturesArgs, tokens: Tokens, model: &Model<'_>) -> BTreeMap<String, String> {
    let entries = [
        ("layer", args.layer.map_or(Features::Final, Features::Block).to_string()),
        ("tokens", tokens.name().to_owned()),
        ("views", args.looks.views.to_string()),
        ("network", model.config().network.title()),
        ("weights", super::network::name_of(&args.network.weights)),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Follows the work with a progress bar, keeps what is made, and says so clip by clip.
struct Live<'l> {
    /// How printing clips as they are done went so far; `None` if they are not.
    print: Option<Result<()>>,
    clips: &'l Clips,
    names: Vec<String>,
    bar: ProgressBar,
    tensors: Tensors,
    reports: Vec<ClipReport>,
}

impl Progress<ClipFeatures> for Live<'_> {
    fn view(&mut self) {
        self.bar.inc(1);
    }

    fn clip(&mut self, clip: usize, made: ClipFeatures) -> Result<()> {
        let Some((path, name)) = self.clips.paths.get(clip).zip(self.names.get(clip)) else { return Ok(()) };
        let report = ClipReport {
            clip: self.clips.shown(path),
            tensor: name.clone(),
            shape: made.features.as_ref().map(|features| features.shape().to_vec()),
            notes: made.watched.notes,
            error: made.watched.failure.map(|error| clips::told(&error.to_string())),
        };
        self.tensors.extend(made.features.map(|features| (name.clone(), features)));
        // That nobody can read of it is no reason not to write features.
        if let Some(Ok(())) = self.print {
            self.print = Some(self.bar.suspend(|| print_clip(&report)));
        }
        self.reports.push(report);
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        interrupt::flow()
    }
}

fn print_clip(clip: &ClipReport) -> Result<()> {
    complain_notes(&clip.clip, &clip.notes);
    if let Some(error) = &clip.error {
        complain(&format!("error: {error}"));
    }
    clip.shape.as_ref().map_or(Ok(()), |shape| print_line(&format!("{} {shape:?}", clip.tensor)))
}

fn print_summary(report: &Report) -> Result<()> {
    print_text(&format!("on {}{}", report.executor, on_device(report.device_bytes)))?;
    if let Some(out) = &report.out {
        return print_line(&format!("wrote {}", out.display()));
    }
    if !report.interrupted {
        complain("error: no clip could be looked at: nothing is written");
    }
    Ok(())
}
