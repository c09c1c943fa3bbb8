//! What `bench` prints: the adapter, a line for each row as it is measured, tables of all rows, and the comparison with an older report.

use orthoformer::{Error, Result};
use orthoformer_bench::{BenchAdapter, BenchReport, Ceilings, Changed, Comparison, Row, Verdict};

use crate::terminal::{Table, bytes, print_line, print_tables, print_text};

/// What has all columns, whatever the terminal's width.
const ELSEWHERE: &str = "--json, --csv and --report have all";

pub(super) fn adapter(adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()> {
    print_text(&adapter.line())?;
    print_text(&format!("times by {}", adapter.clock))?;
    let measured = ceilings.named().into_iter().filter(|(_, ceiling)| ceiling.status != "skipped");
    let mut table = Table::new(&["ceiling", "value", "unit", "status"]);
    for (name, ceiling) in measured {
        let value = ceiling.value.map_or(String::new(), |value| format!("{value:.2}"));
        table.add_row([name, &value, &ceiling.unit, &bracketed(&ceiling.status)]);
    }
    if table.is_empty() { Ok(()) } else { print_tables(&[table]) }
}

/// A row in a line.
pub(super) fn line(row: &Row) -> String {
    let Row { operation, shape, batch, approximation, .. } = row;
    let what = format!("{operation} {shape}, batch {batch}, {approximation}, {}", starred(row));
    match (row.median_ms, row.gflops) {
        (Some(ms), Some(gflops)) => format!("{what}: {ms:.3} ms, {gflops:.2} GFLOP/s"),
        (Some(ms), None) => format!("{what}: {ms:.3} ms"),
        (None, _) => format!("{what}: {}", bracketed(&row.status)),
    }
}

pub(super) fn report(report: &BenchReport) -> Result<()> {
    // Stages of what would not be used are left to the other forms.
    let shown = |row: &&Row| !row.is_stage() || row.best || !report.rows.iter().any(|row| row.best);
    let rows: Vec<&Row> = report.rows.iter().filter(shown).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let tables: Vec<Table> = rows.chunk_by(|a, b| case(a) == case(b)).map(of_case).collect();
    print_tables(&tables)?;
    print_text("* what the engine uses; ms: median, with its interquartile range; two operations a multiply-add")?;
    print_text("stages are timed in runs of their own and need not add up; those of other rows are in --json, --csv and --report")
}

fn case(row: &Row) -> String {
    format!("{}, batch {}, {}", row.shape, row.batch, row.approximation)
}

/// The table of rows of one case.
fn of_case(rows: &[&Row]) -> Table {
    let header = ["operation", "variant", "ms", "IQR", "GFLOP/s", "GB/s", "of ceiling", "ceiling", "device"];
    let title = rows.first().map_or(String::new(), |row| case(row));
    let table = Table::new(&header).titled(title);
    let mut table = table.least(&["device", "ceiling", "IQR", "GB/s", "GFLOP/s", "of ceiling"], ELSEWHERE);
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
    if row.best { format!("{} *", row.variant) } else { row.variant.clone() }
}

fn cells(row: &Row) -> [String; 9] {
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
        row.device_bytes.map_or(String::new(), bytes),
    ]
}

/// Prints rows as comma-separated values, under their names where they are the first.
pub(super) fn csv_lines(rows: &[Row], with_header: bool) -> Result<()> {
    let failed =
        |error: String| Error::Argument { what: "report", given: error, expected: "one that CSV can express".to_owned() };
    let mut writer = csv::WriterBuilder::new().has_headers(with_header).from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| failed(error.to_string()))?;
    let written = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    print_line(String::from_utf8_lossy(&written).trim_end())
}

pub(super) fn comparison(comparison: &Comparison) -> Result<()> {
    print_text(&format!("against {}", comparison.old_adapter))?;
    if !comparison.same_adapter {
        print_text("note: measured on another adapter, driver or clock; the ratios say little")?;
    }
    if let Some(ratio) = comparison.multiply_add_ratio {
        print_text(&format!("multiply-adds at full rate: {ratio:.2} times as fast as then, whatever the kernels"))?;
    }
    let case = |row: &Changed| format!("{}, batch {}, {}", row.shape, row.batch, row.approximation);
    let of_case = |rows: &[Changed]| {
        let table = Table::new(&["operation", "variant", "old ms", "new ms", "ratio", "noise", "verdict"]);
        let table = table.titled(rows.first().map_or(String::new(), case));
        let mut table = table.least(&["old ms", "noise", "new ms"], "--json has all");
        rows.iter().for_each(|row| table.add_row(changed_cells(row)));
        table
    };
    let tables: Vec<Table> = comparison.rows.chunk_by(|a, b| case(a) == case(b)).map(of_case).collect();
    print_tables(&tables)?;
    if comparison.rows.is_empty() {
        print_line("no row of the two was timed in both")?;
    }
    let Comparison { only_new, only_old, .. } = comparison;
    print_text(&format!(
        "ratio: new to old; slower above 1 + noise, faster below 1 / (1 + noise); {only_new} rows are new, {only_old} are gone"
    ))
}

fn changed_cells(row: &Changed) -> [String; 7] {
    let Changed { operation, variant, old_ms, new_ms, ratio, noise, verdict, .. } = row;
    let verdict = match verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::Same => "",
        Verdict::Unclear => "too few runs",
    };
    let [old_ms, new_ms, ratio, noise] = [old_ms, new_ms, ratio, noise].map(|number| format!("{number:.3}"));
    [operation.clone(), variant.clone(), old_ms, new_ms, ratio, noise, verdict.to_owned()]
}
