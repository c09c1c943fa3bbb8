//! `orthoformer classify --every`: a row a window as it comes, then spans.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use orthoformer::Result;
use orthoformer_models::probe::Head;
use orthoformer_models::{Average, ClassifiedWindow, Model, Progress, Span, Watched, WindowProgress, classify_windows};
use orthoformer_video::views::{Sampling, WindowSpec};
use serde::Serialize;

use super::live::{Form, Naming};
use super::{ClassifyArgs, Guess};
use crate::clips::{self, Clips};
use crate::interrupt;
use crate::network::CLIPS;
use crate::terminal::{complain, complain_notes, csv_text, json_line, on_device, print_row, print_text};
use crate::track::name;

/// Windows of time.
#[derive(Args)]
pub(super) struct WindowArgs {
    /// Classify a window every so many seconds, and name spans.
    ///
    /// A row a window comes as soon as the frames of its views are there, and one a span as soon as windows are of another class, or at
    /// Ctrl-C. y4m from standard input is read as it comes, and /dev/video0 is a camera.
    #[arg(long, help_heading = CLIPS, value_name = "SECONDS")]
    every: Option<f64>,
    /// Length of a window [default: what a view of the network spans; --every of networks that take segments].
    #[arg(long, help_heading = CLIPS, value_name = "SECONDS", requires = "every", hide_short_help = true)]
    window: Option<f64>,
}

impl WindowArgs {
    /// The windows, if clips are to be looked at in windows.
    pub fn spec(&self, sampling: &Sampling) -> Result<Option<WindowSpec>> {
        let Some(every) = self.every else { return Ok(None) };
        let usual = WindowSpec::of(every, sampling);
        let spec = WindowSpec { length: self.window.unwrap_or(usual.length), ..usual };
        spec.check()?;
        Ok(Some(spec))
    }
}

/// What is printed: a line of JSON, or rows of comma-separated values.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Row {
    Window {
        clip: String,
        start: f64,
        end: f64,
        /// For each head the likeliest classes.
        heads: Vec<Vec<Guess>>,
    },
    Span {
        clip: String,
        start: f64,
        end: f64,
        head: usize,
        /// Whether there are other heads.
        #[serde(skip)]
        several: bool,
        #[serde(flatten)]
        guess: Guess,
    },
    Error {
        clip: String,
        error: String,
    },
    /// What people should know of a clip, or of the checkpoint.
    Note {
        #[serde(skip_serializing_if = "Option::is_none")]
        clip: Option<String>,
        note: String,
    },
}

impl Row {
    /// As text, without the clip.
    fn text(&self) -> String {
        let row = |start: &f64, end: &f64, head: Option<usize>, guesses: &[Guess]| {
            let head = head.map(|head| format!("  head {head}")).unwrap_or_default();
            let guesses: String = guesses.iter().map(Guess::text).collect();
            format!("  {start:8.2} to {end:8.2} s{head}{guesses}")
        };
        match self {
            Self::Window { start, end, heads, .. } => {
                let of_head = |(head, guesses): (usize, &Vec<Guess>)| row(start, end, (heads.len() > 1).then_some(head), guesses);
                heads.iter().enumerate().map(of_head).collect::<Vec<_>>().join("\n")
            }
            Self::Span { start, end, head, several, guess, .. } => {
                format!("span{}", row(start, end, several.then_some(*head), std::slice::from_ref(guess)))
            }
            Self::Error { error: text, .. } | Self::Note { note: text, .. } => text.clone(),
        }
    }

    /// As rows of [`HEADER`].
    fn records(&self) -> Vec<[String; 10]> {
        let record = |kind: &str, clip: &str, [start, end]: [&f64; 2], head: usize, rank: usize, guess: &Guess| {
            let [kind, clip] = [kind, clip].map(str::to_owned);
            let [start, end, probability] = [start, end, &guess.probability].map(f64::to_string);
            let [head, rank, class] = [head, rank, guess.class].map(|number| number.to_string());
            [kind, clip, start, end, head, rank, class, guess.label.clone(), probability, String::new()]
        };
        match self {
            Self::Window { clip, start, end, heads } => {
                let of_head = |(head, guesses): (usize, &Vec<Guess>)| {
                    let rows = (1..).zip(guesses).map(|(rank, guess)| record("window", clip, [start, end], head, rank, guess));
                    rows.collect::<Vec<_>>()
                };
                heads.iter().enumerate().flat_map(of_head).collect()
            }
            Self::Span { clip, start, end, head, guess, .. } => vec![record("span", clip, [start, end], *head, 1, guess)],
            Self::Error { clip, error } => {
                let mut row: [String; 10] = std::array::from_fn(|_| String::new());
                (row[0], row[1], row[9]) = ("error".to_owned(), clip.clone(), error.clone());
                vec![row]
            }
            Self::Note { .. } => Vec::new(),
        }
    }
}

/// Columns of comma-separated values.
const HEADER: [&str; 10] = ["kind", "clip", "start", "end", "head", "rank", "class", "label", "probability", "error"];

/// Prints rows as they come.
struct Rows<'r> {
    form: Form,
    clips: &'r Clips,
    naming: Naming<'r>,
    /// The clip whose name was printed last.
    named: Option<usize>,
    windows: u64,
    failed: bool,
    /// Nobody reads what is printed any more.
    unread: bool,
}

impl Rows<'_> {
    fn print(&mut self, row: &Row) -> Result<()> {
        match form_of(self.form, row)? {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<()> {
        self.unread |= print_row(line)?.is_break();
        Ok(())
    }

    fn shown(&self, clip: usize) -> String {
        self.clips.paths.get(clip).map(|path| self.clips.shown(path)).unwrap_or_default()
    }

    /// Names the clip, where the rows themselves do not.
    fn announce(&mut self, clip: usize) -> Result<()> {
        if self.form != Form::Text || self.named.replace(clip) == Some(clip) {
            return Ok(());
        }
        let shown = self.shown(clip);
        self.line(&name(Path::new(&shown)))
    }

    fn labels(&self, head: usize) -> Option<&[String]> {
        self.naming.0.get(head)?.as_deref()
    }

    /// Notes of a clip, or of the checkpoint, whose notes were printed on stderr already.
    fn notes(&mut self, clip: Option<usize>, notes: &[String]) -> Result<()> {
        let clip = clip.map(|clip| self.shown(clip));
        if self.form == Form::Json {
            return notes.iter().try_for_each(|note| self.print(&Row::Note { clip: clip.clone(), note: note.clone() }));
        }
        clip.into_iter().for_each(|clip| complain_notes(clip, notes));
        Ok(())
    }
}

/// A row as it is printed; `None` where it goes to stderr.
fn form_of(form: Form, row: &Row) -> Result<Option<String>> {
    match (form, row) {
        (Form::Json, _) => json_line(row).map(Some),
        (Form::Csv, _) => csv_text(|writer| row.records().iter().try_for_each(|record| writer.write_record(record))).map(Some),
        (Form::Text, Row::Error { error, .. }) => {
            complain(&format!("error: {error}"));
            Ok(None)
        }
        (Form::Text, _) => Ok(Some(row.text())),
    }
}

impl Progress<Watched> for Rows<'_> {
    fn view(&mut self) {}

    fn clip(&mut self, clip: usize, watched: Watched) -> Result<()> {
        self.notes(Some(clip), &watched.notes)?;
        if let Some(error) = &watched.failure {
            self.failed = true;
            let error = clips::told(&error.to_string());
            self.print(&Row::Error { clip: self.shown(clip), error })?;
        }
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        if self.unread { ControlFlow::Break(()) } else { interrupt::flow() }
    }
}

impl WindowProgress for Rows<'_> {
    fn window(&mut self, clip: usize, found: ClassifiedWindow) -> Result<()> {
        self.windows += 1;
        self.announce(clip)?;
        let best = |(head, average): (usize, &Average)| Guess::best(average, self.naming.1, self.labels(head));
        let heads = found.heads.iter().enumerate().map(best).collect();
        self.print(&Row::Window { clip: self.shown(clip), start: found.window.start, end: found.window.end, heads })
    }

    fn span(&mut self, clip: usize, head: usize, span: Span) -> Result<()> {
        let guess = Guess::of(span.class, span.probability, self.labels(head));
        let several = self.naming.0.len() > 1;
        self.print(&Row::Span { clip: self.shown(clip), start: span.start, end: span.end, head, several, guess })
    }
}

/// Classifies the clips in windows.
pub(super) fn main(
    args: &ClassifyArgs,
    (model, head, notes): (&Model<'_>, Option<&Head>, &[String]),
    clips: &mut Clips,
    naming: Naming<'_>,
    windows: WindowSpec,
    executor: &str,
) -> Result<ExitCode> {
    let looks = &args.looks;
    let batch = looks.batch_of_windows(model, clips.have_streams())?;
    let open = clips.opener(model.config().protocol.damage);
    let mut rows = Rows { form: args.form(), clips, naming, named: None, windows: 0, failed: false, unread: false };
    interrupt::listen();
    if rows.form == Form::Csv {
        rows.line(&HEADER.join(","))?;
    }
    rows.notes(None, notes)?;
    let flow = classify_windows(model, &clips.paths, open, (looks.views, batch), windows, head, &mut rows)?;
    if flow.is_break() && !rows.unread {
        complain(&format!("interrupted: {} windows classified", rows.windows));
        return Ok(interrupt::exit_code());
    }
    if rows.form == Form::Text && rows.windows > 0 {
        let WindowSpec { every, length } = windows;
        let memory = on_device(model.device_bytes());
        print_text(&format!("{} on {executor}", model.config().network.title()))?;
        let count = if rows.windows == 1 { "1 window".to_owned() } else { format!("{} windows", rows.windows) };
        print_text(&format!("{count} of {length:.2} s every {every} s ({} views each){memory}", looks.views))?;
    }
    Ok(if rows.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
