//! `orthoformer inspect`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer::plan::Element;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::probe::Head;
use orthoformer_models::{Config, Cost, Features, Inventory, Preset, check};
use orthoformer_video::views::Resize;
use serde::Serialize;
use serde_json::Value;

use super::element;
use super::network::OverrideArgs;
use super::terminal::{Table, bytes, print_json, print_tables};

/// Show what network a checkpoint has, and what a clip costs.
///
/// Configuration, parameters, operations and memory for a clip, and tensors that are not used.
#[derive(Args)]
pub(super) struct InspectArgs {
    /// Checkpoint: PyTorch's or safetensors, or a folder with one.
    ///
    /// Without one, --preset shows a published network.
    #[arg(required_unless_present = "preset")]
    checkpoint: Option<PathBuf>,
    /// What numbers would be stored as.
    #[arg(long, value_name = "TYPE", value_parser = element, default_value_t = Element::F32)]
    storage: Element,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    overrides: OverrideArgs,
}

#[derive(Serialize)]
struct Report {
    name: String,
    network: &'static str,
    attention: String,
    frames: u32,
    /// Height and width of clips, pixels.
    height: u32,
    width: u32,
    patch: [u32; 3],
    tokens: u32,
    classes: Vec<u32>,
    /// What else there is to it.
    #[serde(flatten)]
    structure: BTreeMap<&'static str, Value>,
    sampling_rate: u32,
    target_fps: f64,
    segments: bool,
    /// How frames are scaled before squares are cut.
    resize: String,
    mean: [f32; 3],
    std: [f32; 3],
    reversed_channels: bool,
    has_configuration: Option<bool>,
    /// Whether flags count more than what the checkpoint or the preset says.
    has_flags: bool,
    parameters: Option<u64>,
    unused: Vec<String>,
    /// Beginning of the names of tensors that are left out, and their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    storage: String,
    cost: Cost,
}

#[derive(Serialize)]
struct LeftOut {
    beginning: String,
    tensors: usize,
}

pub(super) fn main(args: &InspectArgs, _: AdapterChoice) -> Result<ExitCode> {
    let (name, config, found) = match &args.checkpoint {
        Some(path) => {
            let checkpoint = Checkpoint::open(path)?;
            if Head::is_one(&checkpoint) {
                print_head(&super::network::name_of(path), &Head::of(&checkpoint)?, args.json)?;
                return Ok(ExitCode::SUCCESS);
            }
            let config = args.overrides.config(&checkpoint)?;
            super::network::note_assumptions(&checkpoint, &config)?;
            let inventory = check(&checkpoint, &config).map_err(|error| super::network::in_file(path, error))?;
            let has_configuration = config.network.has_configuration(&checkpoint)?;
            (super::network::name_of(path), config, Some((inventory, has_configuration)))
        }
        None => {
            let preset = args.overrides.preset.map(super::network::PresetName::preset).unwrap_or(Preset::Base);
            (preset.name().to_owned(), preset.config_with(&args.overrides.overrides()?), None)
        }
    };
    let report = report(name, &config, (found, args.overrides.says_something()?), args.storage)?;
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(
    name: String,
    config: &Config,
    (found, has_flags): (Option<(Inventory, bool)>, bool),
    storage: Element,
) -> Result<Report> {
    let (network, protocol) = (&config.network, &config.protocol);
    let [frames, height, width] = network.clip();
    let (has_configuration, inventory) = match found {
        Some((inventory, has)) => (Some(has), Some(inventory)),
        None => (None, None),
    };
    Ok(Report {
        name,
        network: network.name(),
        attention: network.describe(),
        frames,
        height,
        width,
        patch: network.patch(),
        tokens: network.tokens(Features::Final)?.count(),
        classes: network.logits().into_iter().map(|(_, classes)| classes).collect(),
        structure: network.facts().into_iter().map(|(name, fact)| (name, as_json(fact))).collect(),
        sampling_rate: protocol.sampling_rate,
        target_fps: protocol.target_fps,
        segments: protocol.segments,
        resize: resize_of(config),
        mean: protocol.mean,
        std: protocol.std,
        reversed_channels: protocol.reversed_channels,
        has_configuration,
        has_flags,
        parameters: inventory.as_ref().map(|inventory| inventory.parameters),
        left_out: inventory
            .as_ref()
            .and_then(|inventory| inventory.left_out.clone())
            .map(|(beginning, tensors)| LeftOut { beginning, tensors }),
        unused: inventory.map(|inventory| inventory.unused).unwrap_or_default(),
        storage: storage.to_string(),
        cost: Cost::of(config, storage)?,
    })
}

/// What a file of `probe train` is.
const KIND: &str = "linear head, for classify --head";

/// What a head of `probe train` says of itself.
#[derive(Serialize)]
struct HeadReport<'h> {
    /// What it is: no network.
    kind: &'static str,
    labels: &'h [String],
    /// What its features depend on, and how it was trained.
    #[serde(flatten)]
    facts: &'h BTreeMap<String, String>,
}

fn print_head(name: &str, head: &Head, json: bool) -> Result<()> {
    if json {
        return print_json(&HeadReport { kind: KIND, labels: &head.labels, facts: &head.facts });
    }
    let mut rows = Table::list(name, "");
    rows.add_row(["kind", KIND]);
    rows.add_row(["labels".to_owned(), head.labels.join(", ")]);
    head.facts.iter().for_each(|(name, value)| rows.add_row([name, value]));
    print_tables(&[rows])
}

/// How frames are scaled, in words.
fn resize_of(config: &Config) -> String {
    let [_, side, _] = config.network.clip();
    match config.protocol.resize {
        Resize::ToSquare => format!("shorter side to {side} pixels"),
        Resize::ShortSide(length) => format!("shorter side to {length} pixels, then cut"),
        Resize::Sides { height, width } => format!("to {width} x {height} pixels, then cut"),
        Resize::Keep => "not scaled, but cut".to_owned(),
        Resize::Refuse => "neither scaled nor cut".to_owned(),
    }
}

/// A number where it is one.
fn as_json(fact: String) -> Value {
    fact.parse::<u64>().map_or_else(|_| Value::from(fact), Value::from)
}

/// Names of the tensors that are not used, and how many are known to be left out.
fn not_used(report: &Report) -> String {
    let names = if report.unused.is_empty() { "none".to_owned() } else { report.unused.join(", ") };
    match &report.left_out {
        Some(LeftOut { beginning, tensors }) => format!("{names}; left out are {tensors} whose names begin with {beginning}"),
        None => names,
    }
}

fn print_report(report: &Report) -> Result<()> {
    let giga = |count: u64| match count {
        0..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} G", count as f64 / 1e9),
    };
    let patch = report.patch.map(|size| size.to_string()).join(" x ");
    let classes: Vec<String> = report.classes.iter().map(u32::to_string).collect();
    let head = if classes.is_empty() { "no classifier".to_owned() } else { format!("{} classes", classes.join(" and ")) };
    let structure = report.structure.iter().map(|(name, fact)| match fact {
        Value::String(text) => format!("{name} {text}"),
        number => format!("{name} {number}"),
    });
    let sampling = match report.segments {
        true => "middle frames of equal segments".to_owned(),
        false => format!("one frame in {} at {} a second", report.sampling_rate, report.target_fps),
    };
    let source = match report.has_configuration {
        Some(true) => "the checkpoint's configuration and tensors",
        Some(false) => "the checkpoint's tensors",
        None => "the preset",
    };
    let flags = if report.has_flags { ", and flags" } else { "" };
    let cost = &report.cost;
    let mut rows = Table::list(&report.name, "");
    let mut row = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    row("network", format!("{}: {}", report.network, report.attention));
    row("known from", format!("{source}{flags}"));
    // Of inputs that are made of something else than clips there may be any number.
    let sees_clips = report.frames > 0;
    if sees_clips {
        let size = format!("{} x {} pixels", report.height, report.width);
        row(
            "clip",
            match report.frames {
                1 => format!("one picture of {size}"),
                frames => format!("{frames} frames of {size}; {sampling}"),
            },
        );
        let [mean, std] = [report.mean, report.std].map(|values| values.map(|value| format!("{value:.3}")).join(" "));
        row("frames", format!("{}; mean {mean}, deviation {std}", report.resize));
        row("patches", format!("{patch}; {} tokens in the end", report.tokens));
    }
    row("structure", structure.collect::<Vec<_>>().join(", "));
    row("head", head);
    if let Some(parameters) = report.parameters {
        row("parameters", format!("{parameters}"));
    }
    if sees_clips {
        row(
            "multiply-adds",
            format!("{} a clip ({} for logits alone)", giga(cost.multiply_adds), giga(cost.multiply_adds_for_logits)),
        );
        if let Some(published) = cost.published_multiply_adds {
            row("in the published order", giga(published));
        }
        row(
            "device memory",
            format!("{} a clip, {} of it weights, as {}", bytes(cost.device_bytes), bytes(cost.weight_bytes), report.storage),
        );
        row("more for each clip of a batch", bytes(cost.bytes_a_clip));
    }
    if report.parameters.is_some() {
        row("tensors not used", not_used(report));
    }
    print_tables(&[rows])
}
