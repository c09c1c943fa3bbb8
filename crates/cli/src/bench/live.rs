//! What `bench` prints while it measures: nothing is lost if it is interrupted.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use orthoformer::Result;
use orthoformer_bench::{BenchAdapter, Ceilings, Observer, Row};

use super::print;
use crate::interrupt;
use crate::terminal::{print_text, progress};

/// What goes to stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Rows in a line each as they are measured, then tables.
    Text,
    /// Rows as they are measured.
    Csv,
    /// The report at the end.
    Json,
}

/// Follows the measuring with a progress bar, and prints rows as they come.
pub(super) struct Live {
    form: Form,
    bar: ProgressBar,
    measured: usize,
    has_header: bool,
}

impl Live {
    pub fn new(form: Form, steps: usize) -> Self {
        Self { form, bar: progress("ceilings", steps), measured: 0, has_header: false }
    }

    /// Number of rows that were measured.
    pub fn finish(self) -> usize {
        self.bar.finish_and_clear();
        self.measured
    }
}

impl Observer for Live {
    fn step(&mut self, next: &str) -> ControlFlow<()> {
        self.bar.set_message(next.to_owned());
        self.bar.inc(1);
        interrupt::flow()
    }

    fn adapter(&mut self, adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()> {
        match self.form {
            Form::Text => self.bar.suspend(|| print::adapter(adapter, ceilings)),
            Form::Csv | Form::Json => Ok(()),
        }
    }

    fn rows(&mut self, rows: &[Row]) -> Result<()> {
        self.measured += 1;
        // The first is the whole, the others are its stages.
        let Some(whole) = rows.first() else { return Ok(()) };
        match self.form {
            Form::Text => self.bar.suspend(|| print_text(&print::line(whole))),
            Form::Csv => {
                let first = !std::mem::replace(&mut self.has_header, true);
                self.bar.suspend(|| print::csv_lines(rows, first))
            }
            Form::Json => Ok(()),
        }
    }
}
