//! What the commands share in talking to a terminal.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orthoformer::{Error, Result};
use serde::Serialize;

/// A table that fits the terminal.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header.to_vec());
    // A terminal that says it has no columns, or hardly any, would get a letter a line.
    let wide_enough = table.set_content_arrangement(ContentArrangement::Dynamic).width().is_none_or(|width| width >= 40);
    if !wide_enough {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table
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

/// Prints a report as JSON.
pub(super) fn print_json(report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(|error| Error::Argument {
        what: "report",
        given: error.to_string(),
        expected: "one that JSON can express".to_owned(),
    })?;
    print_line(&text)
}

/// Prints a line to stdout. A reader that has gone away is no reason to complain loudly.
pub(super) fn print_line(line: &str) -> Result<()> {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::File { action: "write to", path: "stdout".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Says something on stderr. Where nobody listens, there is nobody to tell.
pub(super) fn complain(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
