//! `orthoformer bench --attentions` and `bench --network`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer::plan::PlanLimits;
use orthoformer_bench::choices::ChoiceSize;
use orthoformer_bench::{Effort, Progress, SideBySide, SideObserver, SideRow, Subject, attentions, side_by_side};
use orthoformer_models::Config;
use orthoformer_models::checkpoint::Checkpoint;

use super::interrupt;
use super::terminal::{Table, bytes, complain, print_json, print_tables, print_text, progress_in_parts, show_part};

/// Side by side, for choosing.
#[derive(Args)]
pub(super) struct SideArgs {
    /// One layer of every kind of attention.
    ///
    /// At one clip size: operations, bytes, time and device memory.
    #[arg(long, conflicts_with_all = ["operation", "shape", "batch", "variant", "all", "csv", "compare", "report", "approximation", "executor"])]
    pub attentions: bool,
    /// The clip's patches for --attentions: frames x rows x columns.
    #[arg(long, value_name = "FxYxX", value_parser = grid, default_value = "8x14x14", requires = "attentions", hide_short_help = true)]
    clip: Grid,
    /// Whole networks, one clip each.
    ///
    /// Checkpoints are PyTorch's or safetensors, with a config.json beside them where they need one.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = [
        "attentions", "operation", "shape", "batch", "variant", "all", "csv", "compare", "report", "approximation", "executor",
    ])]
    pub network: Vec<PathBuf>,
}

/// Frames, rows and columns.
#[derive(Clone, Copy)]
struct Grid([u32; 3]);

fn grid(text: &str) -> std::result::Result<Grid, String> {
    let numbers: Option<Vec<u32>> = text.split('x').map(|part| part.parse().ok().filter(|size| *size > 0)).collect();
    let sizes = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok());
    sizes.map(Grid).ok_or_else(|| "expected FRAMESxROWSxCOLUMNS, such as 8x14x14".to_owned())
}

pub(super) fn main(args: &SideArgs, choice: &AdapterChoice, effort: Effort, json: bool) -> Result<ExitCode> {
    let subjects = match args.attentions {
        true => attentions(ChoiceSize { grid: args.clip.0, ..ChoiceSize::BASE })?,
        false => args.network.iter().map(|path| network(path)).collect::<Result<_>>()?,
    };
    interrupt::listen();
    let mut live = Live { json, bar: progress_in_parts("checking"), checked: 0 };
    let mut report = side_by_side(choice, &subjects, effort, super::tune::adopt, &mut live)?;
    report.made = Some(super::bench::made());
    let Live { bar, checked, .. } = live;
    bar.finish_and_clear();
    if json {
        print_json(&report)?;
    } else {
        print_report(args, &report)?;
    }
    let wrong: Vec<&SideRow> = report.rows.iter().filter(|row| row.status != "ok").collect();
    wrong.iter().for_each(|row| complain(&format!("{}: {}", row.name, row.status)));
    if report.interrupted {
        return Ok(super::bench::interrupted((checked, subjects.len()), (report.rounds, effort.runs)));
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Follows the measuring with a progress bar, and prints each row once it was checked and ran for the first time.
struct Live {
    json: bool,
    bar: ProgressBar,
    checked: usize,
}

impl SideObserver for Live {
    fn step(&mut self, Progress { next, part, left }: Progress<'_>) -> ControlFlow<()> {
        show_part(&self.bar, next, part, left);
        interrupt::flow()
    }

    fn checked(&mut self, row: &SideRow) -> Result<()> {
        self.checked += 1;
        if self.json { Ok(()) } else { self.bar.suspend(|| print_text(&line(row))) }
    }
}

/// A row in a line.
fn line(row: &SideRow) -> String {
    match row.median_ms {
        Some(ms) => format!("{}: {ms:.1} ms", row.name),
        None => format!("{}: {}", row.name, row.status),
    }
}

/// A network for one clip. Weights are drawn: they make no difference to what is measured.
fn network(path: &Path) -> Result<Subject> {
    let checkpoint = Checkpoint::open(path)?;
    let config = Config::whole(&checkpoint).map_err(|error| super::network::in_file(path, error))?;
    let network = config.network;
    let name = format!("{} ({})", network.title(), super::network::name_of(path));
    let plan = network.plan(1, &network.usual_outputs(), PlanLimits::default())?;
    Ok(Subject { name, plans: vec![plan], reduced: Vec::new() })
}

fn print_report(args: &SideArgs, report: &SideBySide) -> Result<()> {
    if report.rows.is_empty() {
        return Ok(());
    }
    print_text(&report.adapter.line())?;
    print_text(&format!("times by {}", report.adapter.clock))?;
    if args.attentions {
        let [frames, rows, columns] = args.clip.0;
        let ChoiceSize { channels, heads, .. } = ChoiceSize::BASE;
        print_text(&format!(
            "one layer on {frames} x {rows} x {columns} patches, {channels} channels, {heads} heads; projections included, MLP not"
        ))?;
    }
    let subject = if args.attentions { "attention" } else { "network" };
    let rows = Table::new(&[subject, "Gmul-add", "MB moved", "ms", "IQR", "device"]);
    let mut rows = rows.least(&["IQR", "MB moved", "device", "Gmul-add"], "--json has all");
    for row in &report.rows {
        let time = |time: Option<f64>| time.map_or(String::new(), |time| format!("{time:.1}"));
        rows.add_row([
            row.name.clone(),
            format!("{:.2}", row.multiply_adds as f64 / 1e9),
            format!("{:.0}", row.bytes as f64 / 1e6),
            time(row.median_ms),
            time(row.iqr_ms),
            bytes(row.device_bytes),
        ]);
    }
    print_tables(&[rows])?;
    print_text("MB moved: what dispatches read and write, each number once a dispatch; ms: median, with its interquartile range")
}
