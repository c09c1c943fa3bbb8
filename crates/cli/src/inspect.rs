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
    /// How the checkpoint was read, and clips are made ready.
    notes: Vec<String>,
}

/// What a checkpoint says beside its network.
struct Found {
    inventory: Inventory,
    has_configuration: bool,
    notes: Vec<String>,
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
            let notes = super::network::note_assumptions(&checkpoint, &config)?;
            let inventory = check(&checkpoint, &config).map_err(|error| super::network::in_file(path, error))?;
            let has_configuration = config.network.has_configuration(&checkpoint)?;
            (super::network::name_of(path), config, Some(Found { inventory, has_configuration, notes }))
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

fn report(name: String, config: &Config, (found, has_flags): (Option<Found>, bool), storage: Element) -> Result<Report> {
    let (network, protocol) = (&config.network, &config.protocol);
    let [frames, height, width] = network.clip();
    let (has_configuration, inventory, notes) = match found {
        Some(Found { inventory, has_configuration, notes }) => (Some(has_configuration), Some(inventory), notes),
        None => (None, None, Vec::new()),
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
        resize: protocol.scaling(height),
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
        notes,
    })
}

/// What a head of `probe train` says of itself.
#[derive(Serialize)]
struct HeadReport<'h> {
    /// What it is: no network.
    kind: String,
    labels: &'h [String],
    /// What its features depend on, and how it was trained.
    #[serde(flatten)]
    facts: &'h BTreeMap<String, String>,
}

fn print_head(name: &str, head: &Head, json: bool) -> Result<()> {
    let kind = format!("{} head, for classify --head", head.readout.kind());
    if json {
        return print_json(&HeadReport { kind, labels: &head.labels, facts: &head.facts });
    }
    let mut rows = Table::list(name, "");
    rows.add_row(["kind".to_owned(), kind]);
    rows.add_row(["labels".to_owned(), head.labels.join(", ")]);
    head.facts.iter().for_each(|(name, value)| rows.add_row([name, value]));
    print_tables(&[rows])
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
    let classes: Vec<String> = report.classes.iter().map(u32::to_string).collect();
    let head = if classes.is_empty() { "no classifier".to_owned() } else { format!("{} classes", classes.join(" and ")) };
    let structure = report.structure.iter().map(|(name, fact)| match fact {
        Value::String(text) => format!("{name} {text}"),
        number => format!("{name} {number}"),
    });
    let source = match report.has_configuration {
        Some(true) => "the checkpoint's configuration and tensors",
        Some(false) => "the checkpoint's tensors",
        None => "the preset",
    };
    let flags = if report.has_flags { ", and flags" } else { "" };
    // Of inputs that are made of something else than clips there may be any number.
    let sees_clips = report.frames > 0;
    let mut rows =
        vec![("network", format!("{}: {}", report.network, report.attention)), ("known from", format!("{source}{flags}"))];
    if sees_clips {
        rows.extend(rows_of_clips(report));
    }
    rows.push(("structure", structure.collect::<Vec<_>>().join(", ")));
    rows.push(("head", head));
    rows.extend(report.parameters.map(|parameters| ("parameters", parameters.to_string())));
    if sees_clips {
        rows.extend(rows_of_cost(report));
    }
    if report.parameters.is_some() {
        rows.push(("tensors not used", not_used(report)));
    }
    let mut table = Table::list(&report.name, "");
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    print_tables(&[table])
}

/// What the network sees of a clip.
fn rows_of_clips(report: &Report) -> [(&'static str, String); 3] {
    let sampling = match report.segments {
        true => "middle frames of equal segments".to_owned(),
        false => format!("one frame in {} at {} a second", report.sampling_rate, report.target_fps),
    };
    let size = format!("{} x {} pixels", report.height, report.width);
    let clip = match report.frames {
        1 => format!("one picture of {size}"),
        frames => format!("{frames} frames of {size}; {sampling}"),
    };
    let [mean, std] = [report.mean, report.std].map(|values| values.map(|value| format!("{value:.3}")).join(" "));
    let patch = report.patch.map(|size| size.to_string()).join(" x ");
    [
        ("clip", clip),
        ("frames", format!("{}; mean {mean}, deviation {std}", report.resize)),
        ("patches", format!("{patch}; {} tokens in the end", report.tokens)),
    ]
}

/// What a clip costs.
fn rows_of_cost(report: &Report) -> Vec<(&'static str, String)> {
    let giga = |count: u64| match count {
        0..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} G", count as f64 / 1e9),
    };
    let cost = &report.cost;
    let (all, for_logits) = (giga(cost.multiply_adds), giga(cost.multiply_adds_for_logits));
    let mut rows = vec![("multiply-adds", format!("{all} a clip ({for_logits} for logits alone)"))];
    rows.extend(cost.published_multiply_adds.map(|published| ("in the published order", giga(published))));
    let (device, weights) = (bytes(cost.device_bytes), bytes(cost.weight_bytes));
    rows.push(("device memory", format!("{device} a clip, {weights} of it weights, as {}", report.storage)));
    rows.push(("more for each clip of a batch", bytes(cost.bytes_a_clip)));
    rows
}
