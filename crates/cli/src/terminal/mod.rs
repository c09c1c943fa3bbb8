//! What the commands share in talking to a terminal.

mod json;
mod notes;
mod table;

pub(super) use notes::{ClipNote, ClipNotes};
pub(super) use table::Table;

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orthoformer::{Error, Result};
use serde::Serialize;

/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;
/// A terminal that claims fewer is not believed.
const LEAST_WIDTH: usize = 20;

/// Columns that text has to fit into: those that the variable COLUMNS says, else those of the terminal. `None` in a pipe.
fn width() -> Option<usize> {
    static WIDTH: OnceLock<Option<usize>> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let found = || {
            let is_terminal = std::io::stdout().is_terminal();
            is_terminal.then(|| comfy_table::Table::new().width().map_or(USUAL_WIDTH, usize::from))
        };
        said.or_else(found).map(|width| if width == 0 { USUAL_WIDTH } else { width.max(LEAST_WIDTH) })
    })
}

/// A progress bar on stderr; nothing where stderr is no terminal.
pub(super) fn progress(what: &str, count: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr());
    // The template is fixed; should it be wrong, the plain bar stays.
    if let Ok(style) = ProgressStyle::with_template("{msg:20} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// Parts that a bar of [`progress_in_parts`] moves by.
const PARTS: f64 = 1000.0;

/// A progress bar for work that knows how much of it is done and how long the rest takes; see [`show_part`].
pub(super) fn progress_in_parts(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(PARTS as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg:32} {bar:30} {prefix}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// Shows what comes next, how much is done, and how long the rest takes if that is known.
pub(super) fn show_part(bar: &ProgressBar, next: &str, part: f64, left: Option<Duration>) {
    bar.set_message(next.to_owned());
    bar.set_prefix(left.map_or(String::new(), |left| format!("{} left", indicatif::FormattedDuration(left))));
    bar.set_position((PARTS * part) as u64);
}

/// Prints a report as JSON.
pub(super) fn print_json(report: &impl Serialize) -> Result<()> {
    print_line(&json::pretty(report).map_err(no_json)?)
}

/// A row as a line of JSON.
pub(super) fn json_line(row: &impl Serialize) -> Result<String> {
    serde_json::to_string(row).map_err(no_json)
}

fn no_json(error: serde_json::Error) -> Error {
    Error::Argument { what: "report", given: error.to_string(), expected: "one that JSON can express".to_owned() }
}

/// Rows as comma-separated values, without the end of the last line.
pub(super) fn csv_text(write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>) -> Result<String> {
    let broken = |error: csv::Error| Error::Contents { path: "stdout".into(), reason: error.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    write(&mut writer).map_err(broken)?;
    let rows = writer.into_inner().map_err(|error| broken(error.into_error().into()))?;
    Ok(String::from_utf8_lossy(&rows).trim_end().to_owned())
}

/// Prints tables that belong together: with the same columns, as many as fit the terminal.
pub(super) fn print_tables(tables: &[Table]) -> Result<()> {
    if tables.is_empty() { Ok(()) } else { print_line(&table::layout(tables, width())) }
}

/// Prints a sentence or several, broken between words where the terminal ends.
pub(super) fn print_text(text: &str) -> Result<()> {
    match width() {
        Some(width) => print_line(&table::wrapped(text, width)),
        None => print_line(text),
    }
}

/// Prints a line to stdout. A reader that has gone away is no reason to complain loudly.
pub(super) fn print_line(line: &str) -> Result<()> {
    print_row(line).map(drop)
}

/// The same for rows without end: breaks if the reader has gone away.
pub(super) fn print_row(line: &str) -> Result<ControlFlow<()>> {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(source) => Err(Error::File { action: "write to", path: "stdout".into(), source }),
    }
}

/// Says something on stderr. Where nobody listens, there is nobody to tell.
pub(super) fn complain(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says on stderr what people should know about something.
pub(super) fn complain_notes(about: impl std::fmt::Display, notes: &[String]) {
    notes.iter().for_each(|note| complain(&format!("note: {about}: {note}")));
}

/// How much device memory something took, to be put behind other words; nothing where there is no device.
pub(super) fn on_device(count: u64) -> String {
    if count > 0 { format!(", {} on the device", bytes(count)) } else { String::new() }
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
