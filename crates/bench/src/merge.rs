//! Several reports as one table: adapters side by side.

use serde::Serialize;

use super::made::Made;
use super::report::figures;
use super::rows::{BenchAdapter, BenchReport, Row};

/// Several reports side by side, in their order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    /// What each was measured on.
    pub reports: Vec<MergedReport>,
    /// Ceilings that any of them has.
    pub ceilings: Vec<MergedCeiling>,
    /// Rows that any of them has, without stages.
    pub rows: Vec<MergedRow>,
}

/// A report among others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedReport {
    /// The adapter.
    pub adapter: BenchAdapter,
    /// When and where, if that is known.
    pub made: Option<Made>,
    /// The browser, where it was one.
    pub user_agent: Option<String>,
}

/// A ceiling of all adapters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedCeiling {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: String,
    /// A value a report.
    pub values: Vec<Option<f64>>,
}

/// A row of all adapters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedRow {
    /// Operation, shape, batch, variant that was asked for and approximation.
    pub key: [String; 5],
    /// What each report has of it.
    pub cells: Vec<Option<MergedCell>>,
}

/// A row of one report among others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedCell {
    /// Median, milliseconds.
    pub median_ms: Option<f64>,
    /// From the first quartile to the third, milliseconds.
    pub iqr_ms: Option<f64>,
    /// Billions of operations a second.
    pub gflops: Option<f64>,
    /// Largest error, as a share of the tolerance.
    pub error: Option<f64>,
    /// The variants that it ran as.
    pub chosen: Option<String>,
    /// `ok`, or why there are no times.
    pub status: String,
}

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedTable {
    /// What it is about.
    pub title: String,
    /// Names of its columns: what the rows are called by, then the reports by their letters.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// Puts reports side by side.
pub fn merge(reports: &[BenchReport]) -> Merged {
    let mut keys: Vec<[String; 5]> = Vec::new();
    for row in reports.iter().flat_map(BenchReport::shown).filter(|row| !row.is_stage()) {
        if !keys.contains(&row.key()) {
            keys.push(row.key());
        }
    }
    let cell = |row: &Row| MergedCell {
        median_ms: row.median_ms,
        iqr_ms: row.iqr_ms,
        gflops: row.gflops,
        error: row.error,
        chosen: row.chosen.clone(),
        status: row.status.clone(),
    };
    let of_key = |key: [String; 5]| MergedRow {
        cells: reports.iter().map(|report| report.rows.iter().find(|row| row.key() == key).map(cell)).collect(),
        key,
    };
    let mut rows: Vec<MergedRow> = keys.into_iter().map(of_key).collect();
    // Rows of a case that only some reports have stand beside the others.
    let case = |row: &MergedRow| [1, 2, 4, 0].map(|part: usize| row.key.get(part).cloned().unwrap_or_default());
    let order: Vec<_> = rows.iter().map(case).collect();
    rows.sort_by_key(|row| order.iter().position(|other| *other == case(row)));
    let reports_of = |report: &BenchReport| MergedReport {
        adapter: report.adapter.clone(),
        made: report.made.clone(),
        user_agent: report.user_agent.clone(),
    };
    Merged { reports: reports.iter().map(reports_of).collect(), ceilings: ceilings(reports), rows }
}

fn ceilings(reports: &[BenchReport]) -> Vec<MergedCeiling> {
    let of_kind = |&(kind, name, unit): &(super::CeilingKind, &'static str, &str)| MergedCeiling {
        name,
        unit: unit.to_owned(),
        values: reports.iter().map(|report| report.ceilings.value(kind)).collect(),
    };
    let all = super::CeilingKind::ALL.iter().map(of_kind);
    all.filter(|ceiling| ceiling.values.iter().any(Option::is_some)).collect()
}

impl Merged {
    /// What each report is, after its letter.
    pub fn legend(&self) -> Vec<String> {
        let line = |(number, report): (usize, &MergedReport)| {
            let made = report.made.as_ref().map_or(String::new(), |made| format!("; {}", made.line()));
            let browser = report.user_agent.as_ref().map_or(String::new(), |browser| format!("; in {browser}"));
            format!("{}: {}{browser}{made}", letter(number), report.adapter.line())
        };
        self.reports.iter().enumerate().map(line).collect()
    }

    /// What computes something wrong, in any of them.
    pub fn wrong(&self) -> Vec<String> {
        let of_cell = |row: &MergedRow, (number, cell): (usize, &Option<MergedCell>)| {
            let cell = cell.as_ref().filter(|cell| cell.status.starts_with("wrong"))?;
            Some(format!("{}: {}: {}", letter(number), row.key.join(" "), cell.status))
        };
        let of_row = |row: &MergedRow| row.cells.iter().enumerate().filter_map(|cell| of_cell(row, cell)).collect::<Vec<_>>();
        self.rows.iter().flat_map(of_row).collect()
    }

    /// A table of the ceilings, and one for each shape, batch and approximation.
    pub fn tables(&self) -> Vec<MergedTable> {
        let letters = || (0..self.reports.len()).map(letter);
        let number = |value: &Option<f64>| value.map_or(String::new(), figures);
        let of_ceiling = |ceiling: &MergedCeiling| {
            [ceiling.name.to_owned(), ceiling.unit.clone()].into_iter().chain(ceiling.values.iter().map(number)).collect()
        };
        let names = |names: [&str; 2]| names.map(str::to_owned).into_iter();
        let ceilings = MergedTable {
            title: "ceilings".to_owned(),
            header: names(["ceiling", "unit"]).chain(letters()).collect(),
            rows: self.ceilings.iter().map(of_ceiling).collect(),
        };
        let title = |row: &MergedRow| {
            let [_, shape, batch, _, approximation] = &row.key;
            format!("{shape}, batch {batch}, {approximation}: ms (GFLOP/s)")
        };
        let of_row = |row: &MergedRow| {
            let [operation, _, _, variant, _] = &row.key;
            let names = [operation, variant].map(String::to_owned).into_iter();
            names.chain(row.cells.iter().map(|cell| cell.as_ref().map_or(String::new(), MergedCell::text))).collect()
        };
        let of_case = |rows: &[MergedRow]| MergedTable {
            title: rows.first().map_or(String::new(), title),
            header: names(["operation", "variant"]).chain(letters()).collect(),
            rows: rows.iter().map(of_row).collect(),
        };
        let cases = self.rows.chunk_by(|a, b| title(a) == title(b)).map(of_case);
        [ceilings].into_iter().filter(|table| !table.rows.is_empty()).chain(cases).collect()
    }

    /// All of it as Markdown.
    pub fn markdown(&self) -> String {
        let cell = |text: &String| text.replace('|', "\\|");
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let table = |table: &MergedTable| {
            let rule = table.header.iter().enumerate().map(|(column, _)| if column < 2 { "---" } else { "---:" }.to_owned());
            let rows = table.rows.iter().map(|row| line(row.iter().map(cell).collect()));
            let header = line(table.header.clone()) + &line(rule.collect());
            format!("## {}\n\n{header}{}\n", table.title, rows.collect::<String>())
        };
        let wrong: String = self.wrong().iter().map(|line| format!("- **wrong** {line}\n")).collect();
        let legend: String = self.legend().iter().map(|line| format!("- {line}\n")).collect();
        let gap = if wrong.is_empty() { "" } else { "\n" };
        let tables: String = self.tables().iter().map(table).collect();
        format!("# Benchmarks side by side\n\n{wrong}{gap}{legend}\n{}\n", tables.trim_end())
    }
}

impl MergedCell {
    /// Time and rate, or the kind of failure.
    fn text(&self) -> String {
        match (self.median_ms, self.gflops) {
            (Some(ms), Some(gflops)) => format!("{} ({})", figures(ms), figures(gflops)),
            (Some(ms), None) => figures(ms),
            (None, _) => self.status.split(':').next().unwrap_or_default().to_owned(),
        }
    }
}

/// `A`, `B`, ... for the first reports, numbers for what is beyond `Z`.
fn letter(number: usize) -> String {
    let letter = u8::try_from(number).ok().and_then(|number| (number < 26).then(|| char::from(b'A' + number)));
    letter.map_or_else(|| (number + 1).to_string(), String::from)
}
