//! `orthoformer compare --network`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer_cpu::Executor;
use serde::Serialize;

use super::interrupt;
use super::network::name_of;
use super::terminal::{Table, bytes, complain, print_json, print_tables, print_text, progress};
use super::track::name;
use crate::study::{NetworkRow, networks};

/// Comparing networks.
#[derive(Args)]
pub(super) struct NetworksArgs {
    /// Compare networks on the clips instead.
    ///
    /// What each says, how far that is from what the first says, and what it costs. PyTorch's files or safetensors, with a config.json beside them where
    /// they need one.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = [
        "long", "trained", "counts", "features", "seeds", "frames", "stride", "size", "patch", "depth", "temperature", "queries", "out",
    ])]
    pub network: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    executor: String,
    networks: Vec<NetworkRow>,
}

pub(super) fn main(args: &NetworksArgs, clips: &[PathBuf], executor: &Executor, json: bool) -> Result<ExitCode> {
    let bar = progress("comparing", args.network.len() * clips.len());
    interrupt::listen();
    let rows = networks(&args.network, clips, executor.into(), || {
        bar.inc(1);
        interrupt::check(&bar, || {
            format!("{} of {} answers, and all of them lost", bar.position(), args.network.len() * clips.len())
        })
    })?;
    bar.finish_and_clear();
    let failed = rows.iter().flat_map(|row| &row.answers).any(|answer| answer.error.is_some());
    let report = Report { executor: executor.describe(), networks: rows };
    if json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_report(report: &Report) -> Result<()> {
    print_text(&format!("on {}", report.executor))?;
    let rows = Table::new(&["network", "sees", "Gmul-add", "device", "clip", "says", "apart", "ms"]);
    let mut rows = rows.least(&["device", "sees", "Gmul-add", "ms", "apart"], "--json has all");
    for row in &report.networks {
        for (number, answer) in row.answers.iter().enumerate() {
            let once = |text: String| if number == 0 { text } else { String::new() };
            let says = |(label, probability): &(String, f64)| format!("{label}, {:.1} %", 100.0 * probability);
            rows.add_row([
                once(format!("{} ({})", row.network, name_of(&row.weights))),
                once(row.clip.map(|size| size.to_string()).join(" x ")),
                once(format!("{:.2}", row.multiply_adds as f64 / 1e9)),
                once(if row.device_bytes > 0 { bytes(row.device_bytes) } else { String::new() }),
                name(&answer.clip),
                answer.likeliest.as_ref().map_or_else(String::new, says),
                answer.distance.map_or_else(String::new, |distance| format!("{distance:.3}")),
                format!("{:.0}", answer.milliseconds),
            ]);
        }
    }
    print_tables(&[rows])?;
    print_text(
        "says: the likeliest class of one view; apart: half the sum of differences of probabilities from the first network's, where classes are as many\n\
         ms: from the file to the answer; with a network's first clip shaders are compiled and weights uploaded",
    )?;
    for answer in report.networks.iter().flat_map(|row| &row.answers) {
        if let Some(error) = &answer.error {
            complain(&format!("error: {error}"));
        }
    }
    Ok(())
}
