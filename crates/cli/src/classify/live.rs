//! What `classify` prints while it works: a clip as soon as its last view is seen, so that nothing is lost if it is interrupted.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use orthoformer::Result;
use orthoformer_models::{Classified, Progress};
use orthoformer_video::views::Views;

use super::{ClipReport, Guess, Report};
use crate::clips::{self, Clips};
use crate::interrupt;
use crate::terminal::{ClipNotes, complain, csv_text, on_device, print_row, print_text, progress};
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
    /// When the first view and the last one were seen, since the start.
    first: Option<Duration>,
    latest: Duration,
    /// Views seen, those of clips that are not done among them.
    views: u32,
    reports: Vec<ClipReport>,
    notes: ClipNotes,
    /// Nobody reads what is printed any more.
    unread: bool,
}

/// What was done.
pub(super) struct Done {
    pub clips: Vec<ClipReport>,
    /// Until the first batch was through, milliseconds.
    pub first: Option<f64>,
    /// Of a view after that, milliseconds.
    pub a_view: Option<f64>,
    pub unread: bool,
}

impl<'l> Live<'l> {
    pub fn start(form: Form, clips: &'l Clips, naming: Naming<'l>, views: Views) -> Result<Self> {
        let bar = progress("classifying", clips.paths.len() * views.count() as usize);
        let (start, latest) = (Instant::now(), Duration::ZERO);
        let (reports, notes) = (Vec::new(), ClipNotes::default());
        let mut live = Self { form, clips, naming, bar, start, first: None, latest, views: 0, reports, notes, unread: false };
        if form == Form::Csv {
            live.print("clip,head,rank,class,label,probability,error")?;
        }
        Ok(live)
    }

    /// What was found, in batches of so many views.
    pub fn finish(self, batch: u32) -> Done {
        self.bar.finish_and_clear();
        self.notes.finish();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let more = self.views.saturating_sub(batch);
        let a_view = self.first.filter(|_| more > 0).map(|first| milliseconds(self.latest - first) / f64::from(more));
        Done { clips: self.reports, first: self.first.map(milliseconds), a_view, unread: self.unread }
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.unread |= self.bar.suspend(|| print_row(text))?.is_break();
        Ok(())
    }

    fn report(&self, path: &Path, found: &Classified) -> ClipReport {
        let (labels, top) = self.naming;
        let heads = found.heads.iter().zip(labels).map(|(average, labels)| Guess::best(average, top, labels.as_deref()));
        ClipReport {
            clip: self.clips.shown(path),
            error: found.watched.failure.as_ref().map(|error| clips::told(&error.to_string())),
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
        self.latest = self.start.elapsed();
        self.first.get_or_insert(self.latest);
        self.views += 1;
        self.bar.inc(1);
    }

    fn clip(&mut self, clip: usize, found: Classified) -> Result<()> {
        let Some(path) = self.clips.paths.get(clip) else { return Ok(()) };
        let report = self.report(path, &found);
        if self.form != Form::Json {
            self.bar.suspend(|| self.notes.say(&report.clip, &report.notes));
        }
        match (self.form, &report.error) {
            (Form::Text, Some(error)) => self.bar.suspend(|| complain(&format!("error: {error}"))),
            (Form::Text, None) => self.print(&text(&report))?,
            (Form::Csv, _) => self.print(&rows(&report)?)?,
            (Form::Json, _) => {}
        }
        self.reports.push(report);
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        if self.unread { ControlFlow::Break(()) } else { interrupt::flow() }
    }
}

/// A row a class; a clip that failed is a row with its error.
fn rows(clip: &ClipReport) -> Result<String> {
    csv_text(|writer| {
        if let Some(error) = &clip.error {
            writer.write_record([clip.clip.as_str(), "", "", "", "", "", error])?;
        }
        for (head, guesses) in clip.heads.iter().enumerate().filter(|_| clip.error.is_none()) {
            for (rank, guess) in (1..).zip(guesses) {
                writer.serialize((&clip.clip, head, rank, guess.class, &guess.label, guess.probability, ""))?;
            }
        }
        Ok(())
    })
}

/// The clip's name and its classes, a line each.
fn text(clip: &ClipReport) -> String {
    let mut lines = vec![name(Path::new(&clip.clip))];
    for (number, guesses) in clip.heads.iter().enumerate() {
        lines.extend((clip.heads.len() > 1).then(|| format!("  head {number}")));
        lines.extend(guesses.iter().map(Guess::text));
    }
    lines.join("\n")
}

/// What ran where, how long it took, and how much memory.
pub(super) fn print_summary(report: &Report) -> Result<()> {
    let seen: u32 = report.clips.iter().map(|clip| clip.views).sum();
    if seen == 0 {
        return Ok(());
    }
    let memory = on_device(report.device_bytes);
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
