//! `orthoformer convert`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_models::checkpoint::{Checkpoint, convert};

use super::element;
use super::outputs::{ReplaceArgs, is_device};
use super::terminal::{bytes, complain_notes, print_json, print_line};

/// Turn a checkpoint into a safetensors file, with its configuration.
#[derive(Args)]
pub(super) struct ConvertArgs {
    /// Checkpoint: PyTorch's (.pyth, .pt, .pth) or safetensors, or a folder with one.
    checkpoint: PathBuf,
    /// Where to write it: a name that ends in .safetensors.
    out: PathBuf,
    #[command(flatten)]
    replace: ReplaceArgs,
    /// Store floats as f32 or f16 [default: as they are].
    #[arg(long, value_name = "TYPE", value_parser = element)]
    dtype: Option<Element>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Report<'r> {
    out: &'r PathBuf,
    tensors: usize,
    parameters: u64,
    bytes: u64,
    has_configuration: bool,
}

pub(super) fn main(args: &ConvertArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.checkpoint)?;
    let same = |path: &PathBuf| std::fs::canonicalize(path).ok();
    if same(&args.out).is_some_and(|out| Some(out) == same(&checkpoint.path().to_owned())) {
        let expected = "another file than the checkpoint, which is read while it is written".to_owned();
        return Err(Error::Argument { what: "OUT", given: args.out.display().to_string(), expected });
    }
    if !is_device(&args.out) && args.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("safetensors")) {
        let expected = "a name that ends in .safetensors, as that is what is written".to_owned();
        return Err(Error::Argument { what: "OUT", given: args.out.display().to_string(), expected });
    }
    args.replace.check(&args.out)?;
    let converted = convert(&checkpoint, &args.out, args.dtype)?;
    complain_notes(checkpoint.path().display(), checkpoint.notes());
    let report = Report {
        out: &args.out,
        tensors: converted.names.len(),
        parameters: converted.parameters as u64,
        bytes: converted.bytes,
        has_configuration: checkpoint.config().is_some() || checkpoint.description()?.is_some(),
    };
    if args.json {
        print_json(&report)?;
    } else {
        let configuration =
            if report.has_configuration { "with its configuration" } else { "without a configuration, as it had none" };
        let Report { tensors, parameters, .. } = report;
        print_line(&format!("{tensors} tensors, {parameters} elements, {}, {configuration}", bytes(report.bytes)))?;
        print_line(&format!("wrote {}", args.out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
