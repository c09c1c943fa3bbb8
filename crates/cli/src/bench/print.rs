//! What `bench` prints: the adapter, a line for each row as it is checked, tables of all rows, and the comparison with an older report.

use orthoformer::Result;
use orthoformer_bench::{BenchAdapter, BenchReport, Ceilings, Changed, Comparison, Row};

use crate::terminal::{Table, bytes, csv_text, print_line, print_tables, print_text};

/// What has all columns, whatever the terminal's width.
const ELSEWHERE: &str = "--json, --csv and --report have all";

pub(super) fn adapter(adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()> {
    print_text(&adapter.line())?;
    print_text(&format!("times by {}", adapter.clock))?;
    let measured = ceilings.named().filter(|(_, ceiling)| ceiling.status != "skipped");
    let mut table = Table::new(&["ceiling", "value", "spread", "unit", "status"]);
    for (name, ceiling) in measured {
        let value = ceiling.value.map_or(String::new(), |value| format!("{value:.2}"));
        let spread = ceiling.spread().map_or(String::new(), |spread| format!("{spread:.1} %"));
        table.add_row([name, &value, &spread, &ceiling.unit, &bracketed(&ceiling.status)]);
    }
    if table.is_empty() { Ok(()) } else { print_tables(&[table]) }
}

/// A row in a line, as its first run has it.
pub(super) fn line(row: &Row) -> String {
    let Row { operation, shape, batch, approximation, .. } = row;
    let what = format!("{operation} {shape}, batch {batch}, {approximation}, {}", starred(row));
    match (row.median_ms, row.gflops) {
        (Some(ms), Some(gflops)) => format!("{what}: {ms:.3} ms at first, {gflops:.2} GFLOP/s"),
        (Some(ms), None) => format!("{what}: {ms:.3} ms at first"),
        (None, _) => format!("{what}: {}", bracketed(&row.status)),
    }
}

/// What is wrong, ahead of everything else.
pub(super) fn wrong(report: &BenchReport) -> Result<()> {
    let mut wrong = report.rows.iter().filter(|row| row.is_wrong()).map(|row| (row.key().join(" "), &row.status));
    wrong.try_for_each(|(key, status)| print_text(&format!("WRONG {key}: {status}")))
}

pub(super) fn report(report: &BenchReport) -> Result<()> {
    // Stages of what would not be used are left to the other forms.
    let shown = |row: &&Row| !row.is_stage() || row.best || !report.rows.iter().any(|row| row.best);
    let rows: Vec<&Row> = report.shown().into_iter().filter(shown).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let tables: Vec<Table> = rows.chunk_by(|a, b| case(a) == case(b)).map(of_case).collect();
    print_tables(&tables)?;
    print_text(
        "* what the engine uses; ms: median, with its interquartile range; two operations a multiply-add; error: as a share of the tolerance",
    )?;
    print_text("stages are timed in runs of their own and need not add up; those of other rows are in --json, --csv and --report")
}

fn case(row: &Row) -> String {
    format!("{}, batch {}, {}", row.shape, row.batch, row.approximation)
}

/// The table of rows of one case.
fn of_case(rows: &[&Row]) -> Table {
    let header = ["operation", "variant", "ms", "IQR", "GFLOP/s", "GB/s", "of ceiling", "ceiling", "error", "device"];
    let title = rows.first().map_or(String::new(), |row| case(row));
    let table = Table::new(&header).titled(title);
    let mut table = table.least(&["device", "ceiling", "error", "IQR", "GB/s", "GFLOP/s", "of ceiling"], ELSEWHERE);
    for row in rows {
        table.add_row(cells(row));
        if !row.is_ok() {
            table.add_note(format!("{} as {}: {}", row.operation, row.variant, bracketed(&row.status)));
        }
    }
    table
}

/// `ok` goes without saying; `[unsupported] why` stands out.
fn bracketed(status: &str) -> String {
    match status.split_once(": ") {
        Some((kind, why)) => format!("[{kind}] {why}"),
        None if status == "ok" => String::new(),
        None => format!("[{status}]"),
    }
}

/// The variant, with a star if it is what the engine uses.
fn starred(row: &Row) -> String {
    if row.best { format!("{} *", row.variant_and_chosen()) } else { row.variant_and_chosen() }
}

fn cells(row: &Row) -> [String; 10] {
    let number = |number: Option<f64>, digits: usize| number.map_or(String::new(), |number| format!("{number:.digits$}"));
    [
        row.operation.clone(),
        starred(row),
        number(row.median_ms, 3),
        number(row.iqr_ms, 3),
        number(row.gflops, 2),
        number(row.gbps, 2),
        row.percent_of_ceiling.map_or(String::new(), |percent| format!("{percent:.1} %")),
        row.ceiling.clone().unwrap_or_default(),
        row.error.map_or(String::new(), |error| format!("{error:.3}")),
        row.device_bytes.map_or(String::new(), bytes),
    ]
}

/// Prints all rows as comma-separated values, each with its adapter.
pub(super) fn csv(report: &BenchReport) -> Result<()> {
    let rows = csv_text(|writer| {
        let header = report.rows.first().map(|row| columns(report, row).map(|(name, _)| name));
        header.map_or(Ok(()), |header| writer.write_record(header))?;
        report.rows.iter().try_for_each(|row| writer.write_record(columns(report, row).map(|(_, value)| value)))
    })?;
    print_line(&rows)
}

/// Names and values of the columns of CSV.
fn columns(report: &BenchReport, row: &Row) -> [(&'static str, String); 25] {
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    let BenchAdapter { name, backend, driver, orthoformer, .. } = &report.adapter;
    let made = report.made.as_ref();
    [
        ("operation", row.operation.clone()),
        ("shape", row.shape.clone()),
        ("batch", row.batch.to_string()),
        ("variant", row.variant.clone()),
        ("chosen", row.chosen.clone().unwrap_or_default()),
        ("approximation", row.approximation.clone()),
        ("median_ms", number(row.median_ms)),
        ("iqr_ms", number(row.iqr_ms)),
        ("runs", row.runs.to_string()),
        ("gflops", number(row.gflops)),
        ("gbps", number(row.gbps)),
        ("ceiling", row.ceiling.clone().unwrap_or_default()),
        ("percent_of_ceiling", number(row.percent_of_ceiling)),
        ("operations", row.operations.to_string()),
        ("bytes", row.bytes.to_string()),
        ("device_bytes", row.device_bytes.map_or(String::new(), |bytes| bytes.to_string())),
        ("best", row.best.to_string()),
        ("error", number(row.error)),
        ("status", row.status.clone()),
        ("adapter", name.clone()),
        ("backend", backend.clone()),
        ("driver", driver.clone()),
        ("orthoformer", orthoformer.clone()),
        ("date", made.map_or(String::new(), |made| made.date.clone())),
        ("host", made.map_or(String::new(), |made| made.host.to_string())),
    ]
}

pub(super) fn comparison(comparison: &Comparison) -> Result<()> {
    print_text(&format!("against {}", comparison.old_adapter))?;
    let case = |row: &Changed| format!("{}, batch {}, {}", row.shape, row.batch, row.approximation);
    let of_case = |rows: &[Changed]| {
        let table = Table::new(&["operation", "variant", "old ms", "new ms", "ratio", "interval", "verdict"]);
        let table = table.titled(rows.first().map_or(String::new(), case));
        let mut table = table.least(&["old ms", "new ms", "interval"], "--json has all");
        rows.iter().for_each(|row| table.add_row(changed_cells(row)));
        table
    };
    let tables: Vec<Table> = comparison.rows.chunk_by(|a, b| case(a) == case(b)).map(of_case).collect();
    print_tables(&tables)?;
    comparison.notes().iter().try_for_each(|note| print_text(note))
}

fn changed_cells(row: &Changed) -> [String; 7] {
    let Changed { operation, variant, chosen, old_ms, new_ms, ratio, interval, verdict, .. } = row;
    let [old_ms, new_ms, ratio] = [old_ms, new_ms, ratio].map(|number| format!("{number:.3}"));
    // What was asked for is the same; what it ran as may not be.
    let variant = match chosen {
        [Some(then), Some(now)] if then != now => format!("{variant} ({then}, now {now})"),
        _ => variant.clone(),
    };
    let interval = format!("{:.3} to {:.3}", interval.low, interval.high);
    [operation.clone(), variant, old_ms, new_ms, ratio, interval, verdict.name().to_owned()]
}
