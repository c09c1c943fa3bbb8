//! `orthoformer compare`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, EngineOptions};
use orthoformer::{Error, Result};
use orthoformer_cpu::Executor;
use orthoformer_video::Clip;
use orthoformer_video::files::{make_folder, make_sure_of_place, write_whole};
use orthoformer_video::patches::Grid;
use serde::Serialize;

use super::ExecutorArg;
use super::clips::Clips;
use super::compare_networks::{self, NetworksArgs};
use super::interrupt;
use super::plot;
use super::terminal::{Table, bytes, complain, complain_notes, print_json, print_line, print_tables, print_text, progress};
use super::track::{decode, name};
use super::trained::{self, TrainedArgs};
use crate::study::{AtEqualError, Claims, ClipProblem, LongRow, Method, Row, Study, Tally, claims, long, measure};

#[derive(Args)]
pub(super) struct CompareArgs {
    /// Clips, folders of clips, or `-` for standard input.
    #[arg(required_unless_present_any = ["long", "trained"])]
    clips: Vec<PathBuf>,
    /// Count for long sequences instead.
    ///
    /// Operations and memory for sequences of N, 2N and 4N tokens and H heads of D.
    #[arg(long, value_name = "N,D,H", value_parser = sizes, conflicts_with = "clips")]
    long: Vec<[u32; 3]>,
    #[command(flatten)]
    trained: TrainedArgs,
    #[command(flatten)]
    networks: NetworksArgs,
    /// Prototypes, landmarks or features.
    ///
    /// By default 8,16,32,64,128, as far as there are tokens.
    #[arg(long, value_delimiter = ',', value_name = "R,...")]
    counts: Vec<u32>,
    /// Further numbers of features for Performer.
    #[arg(long, value_delimiter = ',', value_name = "M,...", default_values_t = [256], hide_short_help = true)]
    features: Vec<u32>,
    /// Runs of each row, with seeds 0, 1, ...: errors are means, times medians.
    #[arg(long, value_name = "N", default_value_t = 3, hide_short_help = true)]
    seeds: u64,
    /// Most frames to take of a clip.
    #[arg(long, value_name = "N", default_value_t = 16, hide_short_help = true)]
    frames: usize,
    /// Take every Nth frame.
    #[arg(long, value_name = "N", default_value_t = 4, hide_short_help = true)]
    stride: usize,
    /// Short side that frames are scaled to, pixels.
    #[arg(long, default_value_t = 224, hide_short_help = true)]
    size: u32,
    /// Side of a patch, pixels of the scaled frame.
    #[arg(long, default_value_t = 16, hide_short_help = true)]
    patch: u32,
    /// Frames in a patch.
    #[arg(long, default_value_t = 2, hide_short_help = true)]
    depth: u32,
    /// Temperature of the attention: lower is sharper, and harder to approximate.
    #[arg(long, default_value_t = 0.1, hide_short_help = true)]
    temperature: f64,
    /// Patches whose attention peaks are compared [default: 64, or all of a frame].
    #[arg(long, value_name = "N", hide_short_help = true)]
    queries: Option<usize>,
    /// Folder for compare.svg and compare.json.
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Auto)]
    executor: ExecutorArg,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
pub(super) struct Report {
    executor: String,
    temperature: f64,
    seeds: u64,
    pub clips: Vec<ClipReport>,
    claims: Vec<Claims>,
}

#[derive(Serialize)]
pub(super) struct ClipReport {
    pub clip: String,
    /// Frames of patches, and patches in each.
    frames: u32,
    patches: u32,
    /// Numbers in a head; there are two heads.
    head_size: u32,
    pub rows: Vec<Row>,
}

pub(super) fn main(args: &CompareArgs, choice: AdapterChoice) -> Result<ExitCode> {
    if !args.long.is_empty() {
        return count_long(args);
    }
    if args.trained.trained {
        return trained::main(&args.trained, &args.counts, &open(args, choice)?, args.json);
    }
    let clips = Clips::of(&args.clips)?;
    if !args.networks.network.is_empty() {
        return compare_networks::main(&args.networks, &clips.paths, &open(args, choice)?, args.json);
    }
    let named = [("frames", args.frames), ("stride", args.stride), ("seeds", args.seeds as usize)];
    if let Some((what, _)) = named.into_iter().find(|(_, count)| *count == 0) {
        return Err(Error::ZeroSize { what });
    }
    make_sure_of_place(&args.out)?;
    let problems = clips.paths.iter().map(|path| Ok((name(path), problem(path, args)?))).collect::<Result<Vec<_>>>()?;
    let executor = open(args, choice)?;
    let report = measured(&problems, args, &executor)?;
    let paths = ["compare.svg", "compare.json"].map(|name| args.out.join(name));
    let json = serde_json::to_vec_pretty(&report)
        .map_err(|error| Error::Contents { path: paths[1].clone(), reason: format!("cannot be encoded: {error}") })?;
    let svg = plot::draw(&report, &paths[0])?;
    make_folder(&args.out)?;
    write_whole(&paths[0], svg.as_bytes())?;
    write_whole(&paths[1], &json)?;
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
        paths.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(args: &CompareArgs, choice: AdapterChoice) -> Result<Executor> {
    args.executor.open(&EngineOptions { choice, ..EngineOptions::default() })
}

fn problem(path: &Path, args: &CompareArgs) -> Result<ClipProblem> {
    let clip = Clip::open(path)?;
    let grid = Grid::new(clip.width, clip.height, args.size, args.patch, args.depth)?;
    check_patches(path, &grid)?;
    let (frames, _, notes) = decode(clip, &grid, (args.frames, args.stride))?;
    complain_notes(path.display(), &notes);
    ClipProblem::new(&grid, &frames, args.temperature, args.queries.unwrap_or(grid.patches().min(64)))
}

/// Fewest rows and columns of patches: in a single one there is nothing to tell apart.
const FEWEST_ACROSS: u32 = 2;

fn check_patches(path: &Path, grid: &Grid) -> Result<()> {
    let &Grid { source_width, source_height, width, height, side, columns, rows, .. } = grid;
    if columns.min(rows) >= FEWEST_ACROSS {
        return Ok(());
    }
    let reason = format!(
        "frames of {source_width} x {source_height} pixels, scaled to {width} x {height}, have {columns} x {rows} patches of \
         {side} x {side}; expected {FEWEST_ACROSS} x {FEWEST_ACROSS} at least: a larger --size or a smaller --patch gives more"
    );
    Err(Error::Contents { path: path.to_owned(), reason })
}

fn measured(problems: &[(String, ClipProblem)], args: &CompareArgs, executor: &Executor) -> Result<Report> {
    let (mut counts, mut features) = (args.counts.clone(), args.features.clone());
    if counts.is_empty() {
        counts = vec![8, 16, 32, 64, 128];
    }
    counts.sort_unstable();
    counts.dedup();
    features.sort_unstable();
    features.retain(|count| !counts.contains(count));
    features.dedup();
    let fewest = problems.iter().map(|(_, problem)| problem.shape.tokens()).min().unwrap_or(u32::MAX);
    if args.counts.is_empty() {
        counts.retain(|&count| count <= fewest);
    }
    if let Some(wrong) = counts.iter().find(|count| !(1..=fewest).contains(*count)) {
        let expected = format!("counts from 1 to {fewest}, as the shortest clip has so many patches in all its frames");
        return Err(Error::Argument { what: "--counts", given: wrong.to_string(), expected });
    }
    let study = Study { methods: Method::ALL.to_vec(), counts, features, seeds: args.seeds };
    let runs = study.runs() * problems.len();
    let bar = progress("comparing", runs);
    interrupt::listen();
    let step = || {
        bar.inc(1);
        interrupt::check(&bar, || format!("{} of {runs} runs, and all of them lost; nothing is written", bar.position()))
    };
    let mut clips = Vec::new();
    for (clip, problem) in problems {
        let rows = measure(problem, &study, executor, step)?;
        let shape = &problem.shape;
        let (frames, patches, head_size) = (shape.frames(), shape.patches(), shape.head_size());
        clips.push(ClipReport { clip: clip.clone(), frames, patches, head_size, rows });
    }
    bar.finish_and_clear();
    let rows: Vec<Vec<Row>> = clips.iter().map(|clip| clip.rows.clone()).collect();
    let (executor, temperature, seeds) = (executor.describe(), args.temperature, args.seeds);
    Ok(Report { executor, temperature, seeds, clips, claims: claims(&rows) })
}

fn print_report(report: &Report) -> Result<()> {
    print_text(&format!("on {}", report.executor))?;
    let mut tables = Vec::new();
    for clip in &report.clips {
        let (frames, patches, size) = (clip.frames, clip.patches, clip.head_size);
        let header = ["method", "R", "tokens", "cosine", "layer", "cosine", "peaks", "Mmul-add", "scratch", "device", "ms"];
        let rows = Table::new(&header).titled(format!("{}: {frames} x {patches} patches, 2 heads of {size}", clip.clip));
        let mut rows = rows.least(&["cosine", "device", "Mmul-add", "scratch", "ms"], "--json has all");
        for row in &clip.rows {
            rows.add_row([
                row.name.clone(),
                if row.count == 0 { String::new() } else { row.count.to_string() },
                format!("{:.4}", row.token_error),
                format!("{:.4}", row.token_cosine),
                format!("{:.4}", row.layer_error),
                format!("{:.4}", row.layer_cosine),
                format!("{:.0} %", 100.0 * row.peak_agreement),
                format!("{:.0}", row.multiply_adds as f64 / 1e6),
                bytes(row.scratch_bytes),
                bytes(row.device_bytes),
                format!("{:.0}", row.milliseconds),
            ]);
        }
        tables.push(rows);
    }
    print_tables(&tables)?;
    print_text(
        "tokens, layer: relative error against exact attention; peaks: patches whose most attended patch is that of exact attention\n\
         scratch: what trajectory tokens take beside inputs and outputs; device: all of it, read-back included; ms: allocation to read-back",
    )?;
    report.claims.iter().try_for_each(print_claims)
}

fn print_claims(claims: &Claims) -> Result<()> {
    let own = claims.method.name();
    for (other, tally) in [("segment means", claims.against_segment_means), ("random", claims.against_random)] {
        let Tally { fewer_token_errors, fewer_layer_errors, pairs } = tally;
        print_text(&format!(
            "{own} against {other} at equal R: smaller token error in {fewer_token_errors} of {pairs} rows, smaller layer error in \
             {fewer_layer_errors}"
        ))?;
    }
    for (other, found) in [("Nystrom", claims.against_nystrom), ("Performer", claims.against_performer)] {
        let AtEqualError { rows, never_reached, fewer_operations, less_memory } = found;
        print_text(&format!(
            "{own} against {other} at equal token error: {other} reaches the error of {} of {rows} rows; of those, {own} has fewer \
             operations in {fewer_operations} and less scratch in {less_memory}",
            rows - never_reached
        ))?;
    }
    Ok(())
}

fn count_long(args: &CompareArgs) -> Result<ExitCode> {
    #[derive(Serialize)]
    struct Counted {
        head_size: u32,
        heads: u32,
        rows: Vec<LongRow>,
    }
    let counted =
        |&[tokens, head_size, heads]: &[u32; 3]| Ok(Counted { head_size, heads, rows: long(tokens, head_size, heads)? });
    let reports: Vec<Counted> = args.long.iter().map(counted).collect::<Result<_>>()?;
    if args.json {
        print_json(&reports)?;
    } else {
        for Counted { head_size, heads, rows } in &reports {
            print_text(&format!(
                "one sequence, {heads} heads of {head_size}; counted from the plans (exact: by its formula), two operations a multiply-add"
            ))?;
            print_long(rows)?;
        }
        print_text(
            "scores: what exact attention would take if its scores were in memory, which they are not\n\
             paper: whole networks of two such heads (Patrick et al., NeurIPS 2021), in training",
        )?;
    }
    // Growth of the approximations has to be linear; exact attention's cannot be.
    let rows = reports.iter().flat_map(|report| &report.rows).filter(|row| row.name != "exact");
    let failed: Vec<_> = rows.filter(|row| !row.operations_linear || !row.bytes_linear).map(|row| row.name).collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("cost grows faster than the number of tokens: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn print_long(rows: &[LongRow]) -> Result<()> {
    let printed = Table::new(&["attention", "N", "GFLOP", "memory", "scores", "linear in N", "paper GFLOPS", "paper MB"]);
    let mut printed = printed.least(&["paper MB", "paper GFLOPS", "scores", "linear in N"], "--json has all");
    for row in rows {
        for (index, &tokens) in row.tokens.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let linear = |yes: bool| if yes { "yes" } else { "no" };
            printed.add_row([
                once(row.name.to_owned()),
                tokens.to_string(),
                format!("{:.3}", row.operations[index] as f64 / 1e9),
                bytes(row.bytes[index]),
                if row.name == "exact" { bytes(row.score_bytes[index]) } else { String::new() },
                once(format!("operations {}, memory {}", linear(row.operations_linear), linear(row.bytes_linear))),
                once(row.published.gflops.to_string()),
                once(row.published.megabytes.to_string()),
            ]);
        }
    }
    print_tables(&[printed])
}

fn sizes(text: &str) -> std::result::Result<[u32; 3], String> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "expected tokens, head size and heads, for example 1024,32,2".to_owned())
}
