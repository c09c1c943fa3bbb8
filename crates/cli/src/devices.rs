//! `orthoformer devices`.

use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, AdapterSummary, adapters};
use orthoformer::{Error, Result};
use orthoformer_bench::json::Adapter;

use super::terminal::{Table, bytes, print_json, print_line, print_tables};

#[derive(Args)]
pub(super) struct DevicesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &DevicesArgs, choice: &AdapterChoice) -> Result<ExitCode> {
    let mut found: Vec<(usize, AdapterSummary)> = adapters(choice)?.into_iter().enumerate().collect();
    let available = found.iter().map(|(number, adapter)| format!("{number}: {adapter}")).collect::<Vec<_>>().join("; ");
    if let Some(wanted) = &choice.adapter {
        let chosen = wanted.parse().ok().filter(|&number: &usize| number < found.len());
        let named = |adapter: &AdapterSummary| adapter.name.to_lowercase().contains(&wanted.to_lowercase());
        found.retain(|(number, adapter)| chosen.map_or_else(|| named(adapter), |chosen| *number == chosen));
        if found.is_empty() && !available.is_empty() {
            return Err(Error::AdapterNotFound { wanted: wanted.clone(), available });
        }
    }
    if args.json {
        print_json(&found.iter().map(|(_, adapter)| Adapter(adapter)).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        return Err(Error::NoAdapter { backends: choice.backend.clone().unwrap_or_else(|| "of this build".to_owned()) });
    } else {
        for (number, adapter) in &found {
            print_adapter(*number, adapter)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_adapter(number: usize, adapter: &AdapterSummary) -> Result<()> {
    let usable = adapter.unusable.as_deref().map_or("yes".to_owned(), |reason| format!("no: {reason}"));
    let mut rows = Table::list(&number.to_string(), &adapter.name);
    rows.add_row(["driver", &format!("{} ({}, {})", adapter.driver, adapter.backend, adapter.kind)]);
    rows.add_row(["kernels run", &usable]);
    for (name, value) in adapter.limits.named() {
        let in_bytes = name.contains("size");
        rows.add_row([name, &if in_bytes { bytes(value) } else { value.to_string() }]);
    }
    let tiers = &adapter.tiers;
    let named = [
        ("f16", &tiers.f16),
        ("subgroups", &tiers.subgroups),
        ("timestamps", &tiers.timestamps),
        ("cooperative matrix", &tiers.cooperative_matrix),
    ];
    for (name, tier) in named {
        rows.add_row([name, &format!("{}: {}", if tier.on { "on" } else { "off" }, tier.detail)]);
    }
    print_tables(&[rows])?;
    print_line("")
}
