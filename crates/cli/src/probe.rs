//! `orthoformer probe`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use orthoformer::gpu::AdapterChoice;
use orthoformer::{Error, Result};
use orthoformer_bench::tune::default_folder;
use orthoformer_models::probe::{
    ClipList, Example, FEWEST_FOLDS, FeatureOptions, Folds, Head, HeadKind, Kept, MOST_FOLDS, Trained, fits, interval,
    kept_features, train,
};
use orthoformer_models::{Config, Features, Model, NetworkOutputs, Progress, Tokens, Watched};
use orthoformer_video::files::make_sure_of_place;
use serde::Serialize;

use super::classify::LookArgs;
use super::network::NetworkArgs;
use super::outputs::ReplaceArgs;
use super::terminal::{ClipNotes, Table, complain, print_json, print_line, print_tables, print_text, progress};
use super::{interrupt, network};

/// Train a head on the features of a network.
#[derive(Args)]
pub(super) struct ProbeArgs {
    #[command(subcommand)]
    command: ProbeCommand,
}

#[derive(Subcommand)]
enum ProbeCommand {
    Train(TrainArgs),
}

/// Train a head on the features of clips, for `classify --head`.
///
/// The network stays as it is. Says how often such heads are right about clips that they were not trained on, by cross-validation. Features are kept in a folder, so
/// that an interrupted run goes on where it ended, and another one with the same clips takes no time.
#[derive(Args)]
struct TrainArgs {
    /// Folder with a folder of clips for each class, or a CSV file.
    ///
    /// The CSV file has a header with the columns clip and label. Its paths are relative to its folder.
    list: PathBuf,
    /// Where to write the head: a safetensors file.
    #[arg(long, value_name = "HEAD")]
    out: PathBuf,
    #[command(flatten)]
    replace: ReplaceArgs,
    /// Features after this block, from 0 [default: the end].
    #[arg(long, value_name = "K")]
    layer: Option<u32>,
    /// Kind of head: linear, or attentive.
    ///
    /// A linear one sees one row of channels. An attentive one has queries that are learned and attend to all patches, whose features take more room and time.
    #[arg(long, value_name = "KIND", default_value_t = HeadKind::Linear)]
    head: HeadKind,
    /// Which tokens a linear head sees: class, or mean of all patches [default: mean].
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    tokens: Option<Tokens>,
    /// Parts of the clips, each of which is held out once.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(FEWEST_FOLDS as u64..=MOST_FOLDS as u64))]
    folds: u64,
    /// Seed of the folds, and of where the fit of an attentive head starts.
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true)]
    seed: u64,
    /// Folder in which features are kept [default: in the platform's cache folder].
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    keep: Option<PathBuf>,
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
    Tokens::named(text).filter(|tokens| tokens.is_row()).ok_or_else(|| "expected class or mean".to_owned())
}

#[derive(Serialize)]
struct Report {
    out: PathBuf,
    weights: PathBuf,
    network: String,
    executor: String,
    storage: String,
    head: &'static str,
    layer: String,
    tokens: &'static str,
    views: String,
    /// Elements of the features of a view.
    channels: usize,
    clips: usize,
    /// Clips whose features were kept by an earlier run.
    kept: usize,
    seed: u64,
    /// Held-out clips that were named right.
    right: usize,
    accuracy: f64,
    /// Where the accuracy lies with 95 % confidence.
    interval: [f64; 2],
    /// What would be right if all clips were taken for the largest class.
    largest_class: f64,
    /// Strength of the penalty on weights.
    strength: f64,
    folds: Vec<FoldReport>,
    classes: Vec<ClassReport>,
}

#[derive(Serialize)]
struct FoldReport {
    clips: usize,
    right: usize,
    strength: f64,
}

#[derive(Serialize)]
struct ClassReport {
    label: String,
    clips: usize,
    right: usize,
    /// What its held-out clips were taken for, in the order of the classes.
    taken_for: Vec<usize>,
}

pub(super) fn main(args: &ProbeArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let ProbeCommand::Train(args) = &args.command;
    args.replace.check(&args.out)?;
    let list = ClipList::read(&args.list)?;
    let folds = Folds::draw(&list, args.folds as usize, args.seed)?;
    let folder = args.folder()?;
    let (checkpoint, config) = args.network.open()?;
    config.views(args.looks.views).check()?;
    let (layer, tokens) = args.features(&config)?;
    let executor = args.network.executor(choice)?;
    let model = args.network.model(&executor, checkpoint, config)?;
    let batch = args.looks.batch(&model, list.clips.len())?;
    let options = FeatureOptions { layer, tokens, views: args.looks.views, batch };
    interrupt::listen();
    let (features, kept) = look(&model, &list, &options, &folder)?;
    let examples = features.into_iter().zip(&list.classes).map(|(features, &class)| Example { features, class });
    let examples: Vec<Example> = examples.collect();
    let bar = progress("training", fits(args.head, &folds));
    let flow = |done: usize| {
        bar.set_position(done as u64);
        interrupt::flow()
    };
    let trained = train(&examples, list.labels.len(), &folds, args.head, flow);
    bar.finish_and_clear();
    let ControlFlow::Continue(trained) = trained? else {
        let lost = format!("features of all {} clips are kept, heads are lost", examples.len());
        return Err(Error::Interrupted { lost });
    };
    let mut report = report(args, &list, (&folds, &trained), (&model, &options));
    (report.kept, report.executor) = (kept, executor.describe());
    let training = facts(&report);
    Head::new(&model, (layer, tokens), (list.labels, trained.readout), training)?.write(&args.out)?;
    if !trained.converged {
        complain("note: the fit ended before it had converged");
    }
    if args.json {
        print_json(&report)?
    } else {
        print_report(&report)?
    }
    Ok(ExitCode::SUCCESS)
}

impl TrainArgs {
    /// Which features the head is of.
    fn features(&self, config: &Config) -> Result<(Features, Tokens)> {
        let layer = self.layer.map_or(Features::Final, Features::Block);
        NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING }.check(config.network.depth())?;
        let usual = if self.head == HeadKind::Attentive { Tokens::Patches } else { Tokens::Mean };
        let tokens = self.tokens.unwrap_or(usual);
        if !self.head.takes(tokens) {
            let expected = format!("none, as an {} head sees all patches", self.head);
            return Err(Error::Argument { what: "--tokens", given: tokens.name().to_owned(), expected });
        }
        tokens.check(&config.network.tokens(layer)?)?;
        Ok((layer, tokens))
    }

    /// Where features are kept.
    fn folder(&self) -> Result<PathBuf> {
        let usual = || default_folder().map(|folder| folder.join("features"));
        let folder = self.keep.clone().or_else(usual).ok_or_else(|| Error::Argument {
            what: "--keep",
            given: "none".to_owned(),
            expected: "a folder to keep features in, as this platform says of none".to_owned(),
        })?;
        make_sure_of_place(&folder)?;
        Ok(folder)
    }
}

/// The features of all clips, and of how many an earlier run had kept them.
fn look(model: &Model<'_>, list: &ClipList, options: &FeatureOptions, folder: &Path) -> Result<(Vec<Kept>, usize)> {
    let bar = progress("looking", options.views.count() as usize * list.clips.len());
    let mut watching = Watching { list, bar, seen: 0, failed: 0, notes: ClipNotes::default() };
    let features = kept_features(model, &list.clips, options, folder, &mut watching);
    let Watching { bar, seen, failed, notes, .. } = watching;
    bar.finish_and_clear();
    notes.finish();
    let ControlFlow::Continue(features) = features? else {
        let lost = format!(
            "features of {} more clips are kept in {}; the same command goes on from there",
            seen - failed,
            folder.display()
        );
        return Err(Error::Interrupted { lost });
    };
    if failed > 0 {
        let given = format!("{failed} of {} clips that cannot be watched", list.clips.len());
        return Err(Error::Argument { what: "LIST", given, expected: "clips without errors such as those above".to_owned() });
    }
    Ok((features.into_iter().flatten().collect(), list.clips.len() - seen))
}

/// Follows the clips that are watched.
struct Watching<'w> {
    list: &'w ClipList,
    bar: ProgressBar,
    /// Clips that were watched.
    seen: usize,
    /// Those of them that cannot be used.
    failed: usize,
    notes: ClipNotes,
}

impl Progress<Watched> for Watching<'_> {
    fn view(&mut self) {
        self.bar.inc(1);
    }

    fn clip(&mut self, clip: usize, watched: Watched) -> Result<()> {
        self.seen += 1;
        self.failed += usize::from(watched.failure.is_some());
        let name = self.list.clips.get(clip).map(|clip| clip.display().to_string()).unwrap_or_default();
        self.bar.suspend(|| self.notes.say(name, &watched.notes));
        if let Some(error) = watched.failure {
            self.bar.suspend(|| complain(&format!("error: {error}")));
        }
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        interrupt::flow()
    }
}

fn report(
    args: &TrainArgs,
    list: &ClipList,
    (folds, trained): (&Folds, &Trained),
    (model, options): (&Model<'_>, &FeatureOptions),
) -> Report {
    let (clips, labels) = (list.clips.len(), &list.labels);
    let is_right = |clip: usize| trained.guesses[clip] == list.classes[clip];
    let of_class = |(class, label): (usize, &String)| {
        let own = || (0..clips).filter(move |&clip| list.classes[clip] == class);
        let taken_for = (0..labels.len()).map(|guess| own().filter(|&clip| trained.guesses[clip] == guess).count()).collect();
        ClassReport { label: label.clone(), clips: own().count(), right: own().filter(|&clip| is_right(clip)).count(), taken_for }
    };
    let of_fold = |(fold, &strength): (usize, &f64)| {
        let own = || folds.members(fold);
        FoldReport { clips: own().count(), right: own().filter(|&clip| is_right(clip)).count(), strength }
    };
    let share = |count: usize| count as f64 / clips.max(1) as f64;
    Report {
        out: args.out.clone(),
        weights: args.network.weights.clone(),
        network: model.config().network.title(),
        executor: String::new(),
        storage: model.element().to_string(),
        head: args.head.name(),
        layer: options.layer.to_string(),
        tokens: options.tokens.name(),
        views: options.views.to_string(),
        // As many as it was trained on.
        channels: trained.readout.channels(labels.len()).unwrap_or_default(),
        clips,
        kept: 0,
        seed: folds.seed,
        right: trained.right,
        accuracy: share(trained.right),
        interval: interval(trained.right, clips),
        largest_class: share(list.counts().into_iter().max().unwrap_or(0)),
        strength: trained.strength,
        folds: trained.fold_strengths.iter().enumerate().map(of_fold).collect(),
        classes: labels.iter().enumerate().map(of_class).collect(),
    }
}

/// What the head's file says of how it was trained.
fn facts(report: &Report) -> [(&'static str, String); 5] {
    [
        ("views", report.views.clone()),
        ("trained_on", network::name_of(&report.weights)),
        ("clips", report.clips.to_string()),
        ("accuracy", accuracy(report)),
        ("strength", report.strength.to_string()),
    ]
}

fn accuracy(report: &Report) -> String {
    let percent = |share: f64| 100.0 * share;
    let ([low, high], all) = (report.interval.map(percent), percent(report.accuracy));
    format!("{all:.1} % ({low:.1} to {high:.1} %)")
}

fn print_report(report: &Report) -> Result<()> {
    let layer = if report.layer == Features::Final.to_string() {
        "at the end".to_owned()
    } else {
        format!("after block {}", report.layer)
    };
    let tokens = match Tokens::named(report.tokens) {
        Some(Tokens::Mean) => "mean of patches",
        Some(Tokens::Patches) => "all patches",
        _ => "class token",
    };
    print_text(&format!("{} on {}", report.network, report.executor))?;
    print_text(&format!("{} clips, {} of them looked at before; {tokens} {layer}", report.clips, report.kept))?;
    let mut rows = Table::new(&["class", "clips", "right", "taken for"]);
    for (class, own) in report.classes.iter().enumerate() {
        let others = own.taken_for.iter().zip(&report.classes).enumerate();
        let others = others.filter(|(other, (count, _))| *other != class && **count > 0);
        let taken_for: Vec<String> = others.map(|(_, (count, other))| format!("{} ({count})", other.label)).collect();
        rows.add_row([own.label.clone(), own.clips.to_string(), own.right.to_string(), taken_for.join(", ")]);
    }
    print_tables(&[rows])?;
    print_text(&format!(
        "accuracy {}: {} of {} clips right, each held out in one of {} folds",
        accuracy(report),
        report.right,
        report.clips,
        report.folds.len(),
    ))?;
    print_text(&format!("the largest class alone: {:.1} %", 100.0 * report.largest_class))?;
    print_line(&format!("wrote {}", report.out.display()))
}
