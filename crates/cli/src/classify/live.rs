//! What `classify` prints while it works: a clip as soon as its last view is seen, so that nothing is lost if it is interrupted.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use orthoformer::Result;
use orthoformer_models::{Classified, Progress};
use orthoformer_video::views::Views;

use super::{ClipReport, Guess, Report};
use crate::clips::Clips;
use crate::interrupt;
use crate::terminal::{bytes, complain, csv_text, print_line, print_text, progress};
use crate::track::name;

/// What goes to stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Clips as they are done, then a summary.
    Text,
    /// Rows as clips are done.
    Csv,
    /// The report at the end.
    Json,
}

/// Names of the classes of each head, where there are any, and how many classes are named.
pub(super) type Naming<'l> = (&'l [Option<Vec<String>>], usize);

/// Follows the work with a progress bar, and prints clips as they come.
pub(super) struct Live<'l> {
    form: Form,
    clips: &'l Clips,
    naming: Naming<'l>,
    bar: ProgressBar,
    start: Instant,
    first: Option<Duration>,
    reports: Vec<ClipReport>,
}

/// How long it took, milliseconds.
pub(super) struct Times {
    /// Until the first batch was through.
    pub first: Option<f64>,
    /// From then on.
    pub rest: Option<f64>,
}

impl<'l> Live<'l> {
    pub fn start(form: Form, clips: &'l Clips, naming: Naming<'l>, views: Views) -> Self {
        let bar = progress("classifying", clips.paths.len() * (views.temporal * views.spatial) as usize);
        Self { form, clips, naming, bar, start: Instant::now(), first: None, reports: Vec::new() }
    }

    /// What was found.
    pub fn finish(self) -> (Vec<ClipReport>, Times) {
        let all = self.start.elapsed();
        self.bar.finish_and_clear();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let rest = self.first.map(|first| milliseconds(all.saturating_sub(first)));
        (self.reports, Times { first: self.first.map(milliseconds), rest })
    }

    fn report(&self, path: &Path, found: &Classified) -> ClipReport {
        let (labels, top) = self.naming;
        let heads = found.heads.iter().zip(labels).map(|(average, labels)| Guess::best(average, top, labels.as_deref()));
        ClipReport {
            clip: self.clips.shown(path),
            error: found.watched.failure.as_ref().map(|error| self.clips.told(&error.to_string())),
            notes: found.watched.notes.clone(),
            frames: found.watched.source.map(|source| source.frames),
            frame_rate: found.watched.source.and_then(|source| source.fps),
            views: found.watched.views,
            heads: heads.collect(),
        }
    }
}

impl Progress<Classified> for Live<'_> {
    fn view(&mut self) {
        self.first.get_or_insert_with(|| self.start.elapsed());
        self.bar.inc(1);
    }

    fn clip(&mut self, clip: usize, found: Classified) -> Result<()> {
        let Some(path) = self.clips.paths.get(clip) else { return Ok(()) };
        let report = self.report(path, &found);
        let is_first = self.reports.is_empty();
        let form = self.form;
        self.bar.suspend(|| match form {
            Form::Text => print_clip(&report),
            Form::Csv => print_rows(&report, is_first),
            Form::Json => Ok(()),
        })?;
        self.reports.push(report);
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        interrupt::flow()
    }
}

/// A row a class; a clip that failed is a row with its error.
fn print_rows(clip: &ClipReport, with_header: bool) -> Result<()> {
    print_notes(clip);
    let rows = csv_text(|writer| {
        if with_header {
            writer.write_record(["clip", "head", "rank", "class", "label", "probability", "error"])?;
        }
        if let Some(error) = &clip.error {
            writer.write_record([clip.clip.as_str(), "", "", "", "", "", error])?;
        }
        for (head, guesses) in clip.heads.iter().enumerate().filter(|_| clip.error.is_none()) {
            for (rank, guess) in (1..).zip(guesses) {
                writer.serialize((&clip.clip, head, rank, guess.class, &guess.label, guess.probability, ""))?;
            }
        }
        Ok(())
    })?;
    print_line(&rows)
}

fn print_notes(clip: &ClipReport) {
    clip.notes.iter().for_each(|note| complain(&format!("note: {}: {note}", clip.clip)));
}

fn print_clip(clip: &ClipReport) -> Result<()> {
    print_notes(clip);
    if let Some(error) = &clip.error {
        complain(&format!("error: {error}"));
        return Ok(());
    }
    print_line(&name(Path::new(&clip.clip)))?;
    for (number, guesses) in clip.heads.iter().enumerate() {
        if clip.heads.len() > 1 {
            print_line(&format!("  head {number}"))?;
        }
        guesses.iter().try_for_each(Guess::print)?;
    }
    Ok(())
}

/// What ran where, how long it took, and how much memory.
pub(super) fn print_summary(report: &Report) -> Result<()> {
    let seen: u32 = report.clips.iter().map(|clip| clip.views).sum();
    if seen == 0 {
        return Ok(());
    }
    let memory = if report.device_bytes > 0 { format!(", {} on the device", bytes(report.device_bytes)) } else { String::new() };
    print_text(&format!("{} on {}", report.attention, report.executor))?;
    let views = if seen == 1 { "1 view".to_owned() } else { format!("{seen} views") };
    let first = report.first_batch_milliseconds.map(|time| match report.batch.min(seen) {
        1 => format!(", {time:.0} ms for the first"),
        batch => format!(", {time:.0} ms for the first {batch}"),
    });
    let others = report.milliseconds_a_view.map(|time| format!(", then {time:.0} ms a view"));
    let (first, others) = (first.unwrap_or_default(), others.unwrap_or_default());
    print_text(&format!("{views} ({} a clip){first}{others}{memory}", report.views))
}
