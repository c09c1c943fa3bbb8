//! `orthoformer bench --merge`: reports side by side.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use orthoformer::Result;
use orthoformer_bench::{Merged, MergedTable, merge, merged_html};

use super::{is_markdown, read_report};
use crate::outputs;
use crate::terminal::{Table, complain, print_json, print_line, print_tables, print_text};

pub(super) fn main(paths: &[PathBuf], page: Option<&Path>, json: bool) -> Result<ExitCode> {
    let reports = paths.iter().map(|path| read_report(path)).collect::<Result<Vec<_>>>()?;
    let merged = merge(&reports);
    if let Some(path) = page {
        let text = if is_markdown(path) { merged.markdown() } else { merged_html(&merged) };
        outputs::open(path)?.write(text.as_bytes())?;
    }
    if json {
        print_json(&merged)?;
    } else {
        print(&merged)?;
        page.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
    }
    let wrong = merged.wrong().len();
    if wrong > 0 {
        complain(&format!("{wrong} rows are wrong"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(merged: &Merged) -> Result<()> {
    merged.wrong().iter().try_for_each(|line| print_text(&format!("WRONG {line}")))?;
    merged.legend().iter().try_for_each(|line| print_text(line))?;
    let table = |of: &MergedTable| {
        let header: Vec<&str> = of.header.iter().map(String::as_str).collect();
        let mut table = Table::new(&header).titled(of.title.clone());
        of.rows.iter().for_each(|row| table.add_row(row));
        table
    };
    merged.tables().iter().try_for_each(|of| print_tables(&[table(of)]))
}
