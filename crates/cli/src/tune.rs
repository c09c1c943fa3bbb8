//! `orthoformer tune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions};
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_bench::tune::{
    Report, Timed, TuneOptions, default_folder, default_path, is_cache, load, save, save_pipelines, tune,
};
use orthoformer_bench::{BenchShape, Case};
use orthoformer_video::files::{make_folder_of, make_sure_of_folder};
use serde::Serialize;

use super::terminal::{Table, complain, print_json, print_line, print_tables, print_text, progress};
use super::{element, interrupt};

/// Find the fastest kernel variants on this adapter, and keep them.
///
/// Each variant is first compared with the reference on a small shape; one that computes something wrong is named and never used. What is
/// found is kept in a file of the platform's cache folder (or --cache), shape by shape, and every later command takes it into account.
#[derive(Args)]
pub(super) struct TuneArgs {
    /// Layers: frames x patches a frame x channels x heads.
    #[arg(long, value_delimiter = ',', value_name = "FxSxCxH,...", default_values_t = [BenchShape::SMALL, BenchShape::MOTIONFORMER_B])]
    shape: Vec<BenchShape>,
    /// Sequences that are computed together.
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// What elements are stored as: f32, f16 or both.
    ///
    /// What is found for one does not count for the other.
    #[arg(long, value_delimiter = ',', value_name = "TYPE,...", value_parser = element, default_values_t = [Element::F32])]
    storage: Vec<Element>,
    /// Timed runs of each variant.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    runs: u32,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The report with where it is kept.
#[derive(Serialize)]
struct Kept<'r> {
    #[serde(flatten)]
    report: &'r Report,
    cache: Option<&'r Path>,
    /// Whether tuning was stopped before the last shape was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
}

pub(super) fn main(args: &TuneArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let stored = |element| args.shape.iter().map(move |&shape| Case { element, ..Case::layer(shape, args.batch) });
    let cases: Vec<Case> = args.storage.iter().flat_map(|&element| stored(element)).collect();
    let plans = cases.iter().map(Case::plan).collect::<Result<Vec<_>>>()?;
    let engine = Engine::new(&with_pipelines(&EngineOptions::for_plans(choice, &plans)))?;
    drop(plans);
    let path = path_for(&engine);
    if let Some(path) = &path {
        // Said before anything is measured.
        make_folder_of(path)?;
        make_sure_of_folder(path)?;
        if path.exists() {
            // What lies in the platform's cache folder is ours to replace, what was named may be something else.
            if CACHE.get().is_some() && !is_cache(path) {
                let reason = "not a tuning cache; remove it, or name another file".to_owned();
                return Err(Error::Contents { path: path.clone(), reason });
            }
            // A new cache is what this command is for.
            adopt(&engine);
        }
    }
    let (report, lost) = tune_all(args, &engine, &cases, path.as_deref())?;
    if let Some(folder) = default_folder().filter(|folder| folder.is_dir()) {
        save_pipelines(&engine, &folder)?;
    }
    match args.json {
        true => print_json(&Kept { report: &report, cache: path.as_deref(), interrupted: lost.is_some() })?,
        false => print_report(&report, path.as_deref())?,
    }
    for variant in &report.too_large {
        complain(&format!("warning: not timed for want of memory: {variant}"));
    }
    for wrong in &report.wrong {
        complain(&format!(
            "warning: {} as {} is wrong here for {} and not used: {}",
            wrong.kernel, wrong.variant, wrong.element, wrong.error
        ));
    }
    match lost {
        Some(lost) => {
            complain(&format!("interrupted: {lost}"));
            Ok(interrupt::exit_code())
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Tunes for one case after the other, and keeps what was found after each. The second value says what is lost, if Ctrl-C ended it early.
fn tune_all(args: &TuneArgs, engine: &Engine, cases: &[Case], path: Option<&Path>) -> Result<(Report, Option<String>)> {
    let runs = args.runs as usize;
    interrupt::listen();
    let bar = progress("tuning", cases.len() * (runs + 4));
    let mut report = Report { adapter: engine.adapter().to_string(), work: Vec::new(), wrong: Vec::new(), too_large: Vec::new() };
    for (number, &Case { shape, batch, element, .. }) in cases.iter().enumerate() {
        // The first shape of each element.
        let look_again = number.is_multiple_of(args.shape.len());
        let options = TuneOptions { batch, element, rounds: runs, look_again };
        let step = |doing: &str| {
            bar.set_message(doing.to_owned());
            bar.inc(1);
            let lost = || format!("{number} of {} shapes are tuned; what was measured of {shape} is lost", cases.len());
            interrupt::check(&bar, lost)
        };
        let found = match tune(engine, &[shape], options, step) {
            Err(Error::Interrupted { lost }) => return Ok((report, Some(lost))),
            found => found?,
        };
        report.work.extend(found.work);
        report.wrong.extend(found.wrong);
        report.too_large.extend(found.too_large);
        // After each shape, so that little is lost if somebody loses patience.
        if let Some(path) = path {
            save(path, engine.adapter(), &engine.tuning())?;
        }
    }
    bar.finish_and_clear();
    Ok((report, None))
}

fn print_report(report: &Report, path: Option<&Path>) -> Result<()> {
    if report.work.is_empty() {
        return Ok(());
    }
    print_text(&report.adapter)?;
    let rows = Table::new(&["kernel", "sizes", "fastest", "median ms", "untuned", "times as long", "others, ms"]);
    let mut rows = rows.least(&["others, ms", "untuned", "times as long"], "--json has all");
    for Timed { kernel, sizes, median_ms, given_up, untuned, untuned_ratio } in &report.work {
        let Some(((fastest, ms), others)) = median_ms.split_first() else { continue };
        let others = others.iter().map(|(variant, ms)| format!("{variant} {ms:.3}"));
        let others: Vec<_> = others.chain(given_up.iter().map(|variant| format!("{variant} given up"))).collect();
        rows.add_row([
            (*kernel).to_owned(),
            sizes.clone(),
            fastest.to_string(),
            format!("{ms:.3}"),
            untuned.to_string(),
            format!("{untuned_ratio:.2}"),
            others.join(", "),
        ]);
    }
    print_tables(&[rows])?;
    match path {
        Some(path) => print_line(&format!("kept in {}", path.display())),
        None => print_line("not kept, as this platform has no cache folder; --cache names a file"),
    }
}

/// The file that `--cache` names, if any.
static CACHE: OnceLock<PathBuf> = OnceLock::new();

/// Remembers the file that `--cache` names.
pub(super) fn set_cache(path: PathBuf) {
    // Set once, when the command line has been parsed.
    let _ = CACHE.set(path);
}

fn path_for(engine: &Engine) -> Option<PathBuf> {
    CACHE.get().cloned().or_else(|| default_path(engine.adapter()))
}

/// The options, with the folder in which compiled pipelines lie: never one that merely holds the file that `--cache` names, as drivers take
/// pipelines at their word.
pub(super) fn with_pipelines(options: &EngineOptions) -> EngineOptions {
    EngineOptions { pipeline_folder: default_folder(), ..options.clone() }
}

/// Takes over what was found out about this engine's adapter; a cache that cannot be used is worth a warning, no more.
pub(super) fn adopt(engine: &Engine) {
    let Some(path) = path_for(engine) else { return };
    match load(&path, engine.adapter()) {
        Ok(Some(tuning)) => engine.set_tuning(tuning),
        // A cache that was named should be there.
        Ok(None) if CACHE.get().is_some() => complain(&format!("warning: there is no tuning cache {}", path.display())),
        Ok(None) => {}
        Err(error) => complain(&format!("warning: the tuning cache is ignored: {error}")),
    }
}
