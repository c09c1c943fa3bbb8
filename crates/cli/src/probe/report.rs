//! What `probe train` reports.

use std::path::PathBuf;

use orthoformer::Result;
use orthoformer_models::probe::{ClipList, FeatureOptions, Folds, Trained, interval};
use orthoformer_models::{Features, Model, Tokens};
use serde::Serialize;

use super::TrainArgs;
use crate::network;
use crate::terminal::{ClipNote, Table, print_line, print_tables, print_text};

#[derive(Serialize)]
pub(super) struct Report {
    out: PathBuf,
    weights: PathBuf,
    network: String,
    pub executor: String,
    storage: String,
    head: &'static str,
    layer: String,
    tokens: &'static str,
    views: String,
    /// Elements of the features of a view.
    channels: usize,
    clips: usize,
    /// Groups of clips, such as those of one recording.
    groups: usize,
    /// Clips whose features were kept by an earlier run.
    kept: usize,
    /// How the checkpoint was read, and clips are made ready.
    pub notes: Vec<String>,
    /// What to know of clips.
    clip_notes: Vec<ClipNote>,
    seed: u64,
    /// Held-out clips that were named right.
    right: usize,
    accuracy: f64,
    /// Where the accuracy lies with 95 % confidence, if groups are independent of each other.
    interval: [f64; 2],
    /// What would be right if all clips were taken for the largest class.
    largest_class: f64,
    /// Strength of the penalty on weights.
    strength: f64,
    /// Whether the minimum of the head's fit was found.
    converged: bool,
    /// Fits of the cross-validation of which it was not.
    unconverged: usize,
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

pub(super) fn report(
    args: &TrainArgs,
    list: &ClipList,
    (folds, trained): (&Folds, &Trained),
    (model, options): (&Model<'_>, &FeatureOptions),
    (kept, clip_notes): (usize, Vec<ClipNote>),
) -> Report {
    let (clips, groups, labels) = (list.clips.len(), list.group_count(), &list.labels);
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
        groups,
        kept,
        notes: Vec::new(),
        clip_notes,
        seed: folds.seed,
        right: trained.right,
        accuracy: share(trained.right),
        interval: interval(trained.right, clips, groups),
        largest_class: share(list.counts().into_iter().max().unwrap_or(0)),
        strength: trained.strength,
        converged: trained.converged,
        unconverged: trained.unconverged,
        folds: trained.fold_strengths.iter().enumerate().map(of_fold).collect(),
        classes: labels.iter().enumerate().map(of_class).collect(),
    }
}

/// What the head's file says of how it was trained.
pub(super) fn facts(report: &Report) -> [(&'static str, String); 5] {
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

pub(super) fn print_report(report: &Report) -> Result<()> {
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
    let groups = if report.groups < report.clips { format!(" of {} groups", report.groups) } else { String::new() };
    print_text(&format!("{} clips{groups}, {} of them looked at before; {tokens} {layer}", report.clips, report.kept))?;
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
