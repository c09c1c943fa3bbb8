//! `orthoformer compare --trained`.

use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer_cpu::Executor;
use serde::Serialize;

use super::interrupt;
use super::terminal::{Table, print_json, print_tables, print_text, progress};
use crate::study::{Method, TrainedRow, TrainedStudy, trained};

/// Clips that go through the network together: larger batches hardly gain anything.
const BATCH: u32 = 8;

/// Comparing inside of the shipped network.
#[derive(Args)]
pub(super) struct TrainedArgs {
    /// Compare inside of the shipped network.
    ///
    /// What approximations do to its answers, on rendered clips [--counts default: 8,16,32,64].
    #[arg(long, conflicts_with_all = [
        "clips", "long", "features", "seeds", "frames", "stride", "size", "patch", "depth", "temperature", "queries", "out",
    ])]
    pub trained: bool,
    /// Rendered clips for --trained.
    #[arg(long = "clips", id = "rendered", value_name = "N", default_value_t = 64, requires = "trained", hide_short_help = true)]
    #[arg(conflicts_with_all = ["clips", "long"], value_parser = clap::value_parser!(u32).range(1..=4096))]
    rendered: u32,
}

#[derive(Serialize)]
struct Report {
    executor: String,
    clips: u32,
    batch: u32,
    rows: Vec<TrainedRow>,
}

pub(super) fn main(args: &TrainedArgs, counts: &[u32], executor: &Executor, json: bool) -> Result<ExitCode> {
    let mut counts = if counts.is_empty() { vec![8, 16, 32, 64] } else { counts.to_vec() };
    counts.sort_unstable();
    counts.dedup();
    let study = TrainedStudy { clips: args.rendered, methods: Method::ALL.to_vec(), counts, batch: BATCH.min(args.rendered) };
    let bar = progress("comparing", study.steps());
    interrupt::listen();
    let rows = trained(&study, executor.into(), |clips| {
        bar.inc(clips as u64);
        interrupt::check(&bar, || format!("{} of {} answers, and all of them lost", bar.position(), study.steps()))
    })?;
    bar.finish_and_clear();
    let report = Report { executor: executor.describe(), clips: study.clips, batch: study.batch, rows };
    if json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_report(report: &Report) -> Result<()> {
    print_text(&format!("on {}, {} clips, {} at a time", report.executor, report.clips, report.batch))?;
    let rows = Table::new(&["attention", "R", "right", "as exact", "logits off", "Mmul-add", "ms a clip"]);
    let mut rows = rows.least(&["Mmul-add", "logits off", "ms a clip"], "--json has all");
    for row in &report.rows {
        rows.add_row([
            row.name.clone(),
            if row.count == 0 { String::new() } else { row.count.to_string() },
            format!("{:.1} %", 100.0 * row.accuracy),
            format!("{:.1} %", 100.0 * row.agreement),
            format!("{:.3}", row.logit_difference),
            format!("{:.0}", row.multiply_adds as f64 / 1e6),
            format!("{:.1}", row.milliseconds),
        ]);
    }
    print_tables(&[rows])?;
    print_text(
        "right: clips whose likeliest class is the true one; as exact: clips whose likeliest class is that of exact attention\n\
         logits off: mean difference from exact attention's; Mmul-add: of the whole network, for the logits of one clip",
    )
}
