//! `orthoformer probe`.

mod report;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use orthoformer::gpu::AdapterChoice;
use orthoformer::{Error, Result};
use orthoformer_bench::tune::default_folder;
use orthoformer_models::probe::{
    ClipList, Example, FEWEST_FOLDS, FeatureOptions, Folds, Head, HeadKind, KeptClip, MOST_FOLDS, Trained, fits, kept_features,
    train,
};
use orthoformer_models::{Config, Features, Model, NetworkOutputs, Progress, Tokens, Watched};
use orthoformer_video::files::make_sure_of_place;

use super::classify::LookArgs;
use super::interrupt;
use super::network::NetworkArgs;
use super::outputs::ReplaceArgs;
use super::terminal::{ClipNote, ClipNotes, complain, print_json, progress};
use report::{facts, print_report, report};

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
/// The network stays as it is. Says how often such heads are right about clips that they were not trained on, by cross-validation.
/// Features, and what is found about heads, are kept in a folder, so that an interrupted run goes on where it ended, and another one with
/// the same clips takes no time.
#[derive(Args)]
struct TrainArgs {
    /// Folder with a folder of clips for each class, or a CSV file.
    ///
    /// The CSV file has a header with the columns clip and label. Its paths are relative to its folder. Clips of one recording belong into
    /// a folder of their own within that of their class, or have the same name in the column group: they are never on both sides of a
    /// judgement.
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

pub(super) fn main(args: &ProbeArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let ProbeCommand::Train(args) = &args.command;
    args.replace.check(&args.out)?;
    let list = ClipList::read(&args.list)?;
    let folds = Folds::draw(&list, args.folds as usize, args.seed)?;
    let folder = args.folder()?;
    let (checkpoint, config, notes) = args.network.open_noted()?;
    config.views(args.looks.views).check()?;
    let (layer, tokens) = args.features(&config)?;
    let executor = args.network.executor(choice)?;
    let model = args.network.model(&executor, checkpoint, config)?;
    let batch = args.looks.batch(&model, list.clips.len())?;
    let options = FeatureOptions { layer, tokens, views: args.looks.views, batch };
    interrupt::listen();
    let (clips, clip_notes) = look(&model, &list, &options, &folder)?;
    let kept = clips.iter().filter(|clip| clip.is_old).count();
    let examples = clips.into_iter().zip(&list.classes).map(|(clip, &class)| Example { features: clip.features, class });
    let trained = args.train(&examples.collect::<Vec<_>>(), &list, &folds, &folder)?;
    let mut report = report(args, &list, (&folds, &trained), (&model, &options), (kept, clip_notes));
    (report.executor, report.notes) = (executor.describe(), notes);
    let training = facts(&report);
    Head::new(&model, (layer, tokens), (list.labels, trained.readout), training)?.write(&args.out)?;
    if !trained.converged {
        complain("note: the fit ended before it had converged");
    }
    if trained.unconverged > 0 {
        let count = trained.unconverged;
        complain(&format!("note: {count} fits of the cross-validation ended before they had converged: the accuracy is theirs"));
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

    /// Trains the head, and judges such heads.
    fn train(&self, examples: &[Example], list: &ClipList, folds: &Folds, folder: &Path) -> Result<Trained> {
        let bar = progress("training", fits(self.head, folds));
        let flow = |done: usize| {
            bar.set_position(done as u64);
            interrupt::flow()
        };
        let trained = train(examples, list.labels.len(), folds, self.head, Some(folder), flow);
        bar.finish_and_clear();
        match trained? {
            ControlFlow::Continue(trained) => Ok(trained),
            ControlFlow::Break(()) => {
                let kept = format!("features of all {} clips are kept in {}", examples.len(), folder.display());
                let lost = format!("{kept}, and so is what was found about heads; the same command goes on from there");
                Err(Error::Interrupted { lost })
            }
        }
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

/// The features of all clips, and what to know of those.
fn look(model: &Model<'_>, list: &ClipList, options: &FeatureOptions, folder: &Path) -> Result<(Vec<KeptClip>, Vec<ClipNote>)> {
    let bar = progress("looking", options.views.count() as usize * list.clips.len());
    let mut watching = Watching { list, bar, seen: 0, failed: 0, notes: ClipNotes::default() };
    let features = kept_features(model, &list.clips, options, folder, &mut watching);
    let Watching { bar, seen, failed, mut notes, .. } = watching;
    bar.finish_and_clear();
    if let Ok(ControlFlow::Continue(clips)) = &features {
        let kept = list.clips.iter().zip(clips).filter_map(|(clip, own)| Some((clip, own.as_ref()?)));
        let old = kept.filter(|(_, own)| own.is_old);
        old.for_each(|(clip, own)| notes.say(&clip.display().to_string(), &own.notes));
    }
    let notes = notes.finish();
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
    Ok((features.into_iter().flatten().collect(), notes))
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
        self.bar.suspend(|| self.notes.say(&name, &watched.notes));
        if let Some(error) = watched.failure {
            self.bar.suspend(|| complain(&format!("error: {error}")));
        }
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        interrupt::flow()
    }
}
