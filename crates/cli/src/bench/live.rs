//! What `bench` shows while it measures.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use orthoformer::Result;
use orthoformer_bench::{BenchAdapter, Ceilings, Observer, Progress, Row};

use super::print;
use crate::interrupt;
use crate::terminal::{print_text, progress_in_parts, show_part};

/// Follows the measuring with a progress bar, and prints each row once it was checked and ran for the first time.
pub(super) struct Live {
    is_text: bool,
    bar: ProgressBar,
    checked: usize,
}

impl Live {
    pub fn new(is_text: bool) -> Self {
        Self { is_text, bar: progress_in_parts("ceilings"), checked: 0 }
    }

    /// Number of rows that were checked.
    pub fn finish(self) -> usize {
        self.bar.finish_and_clear();
        self.checked
    }
}

impl Observer for Live {
    fn step(&mut self, Progress { next, part, left }: Progress<'_>) -> ControlFlow<()> {
        show_part(&self.bar, next, part, left);
        interrupt::flow()
    }

    fn adapter(&mut self, adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()> {
        if self.is_text { self.bar.suspend(|| print::adapter(adapter, ceilings)) } else { Ok(()) }
    }

    fn checked(&mut self, row: &Row) -> Result<()> {
        self.checked += 1;
        if self.is_text { self.bar.suspend(|| print_text(&print::line(row))) } else { Ok(()) }
    }
}
