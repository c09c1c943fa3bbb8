//! What happens when, in long clips and in streams: windows of time that are classified one by one, and the spans that they make.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use orthoformer::Result;
use orthoformer_video::Clip;
use orthoformer_video::views::{Views, Window, WindowSpec, WindowStream};

use crate::classify::{Average, Heads, not_finite};
use crate::model::Model;
use crate::probe::Head;
use crate::watch::{Observer, Progress, Seen, Watched, watch_streams};

/// What a network says about a window.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifiedWindow {
    /// Its time.
    pub window: Window,
    /// One for each head.
    pub heads: Vec<Average>,
}

/// Windows that follow each other and have the same likeliest class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Start of the first window, in seconds.
    pub start: f64,
    /// End of the last one, in seconds. Where windows overlap, spans do too.
    pub end: f64,
    /// Their likeliest class.
    pub class: usize,
    /// Its probability, the mean of all windows.
    pub probability: f64,
    /// How many windows they are.
    pub windows: u64,
}

/// What is told while clips are classified in windows. The source of a clip is not known.
pub trait WindowProgress: Progress<Watched> {
    /// Takes a window, as soon as the network has seen all of its views.
    ///
    /// # Errors
    /// Whatever ends the work.
    fn window(&mut self, clip: usize, window: ClassifiedWindow) -> Result<()>;

    /// Takes a span of a head once it is over: ahead of the window that begins another, or when nothing more comes of the clip.
    ///
    /// # Errors
    /// Whatever ends the work.
    fn span(&mut self, clip: usize, head: usize, span: Span) -> Result<()>;
}

/// Classifies windows of clips, each as the mean of the probabilities of its views, and merges them into spans. `open` opens the clips in a thread of its
/// own, one after the other. Where `progress` breaks, a window of which some views have been seen is finished, and nothing waits for a stream that stalls.
///
/// # Errors
/// Those of [`classify`](crate::classify()) and [`WindowSpec::check`]; [`Error::Contents`](orthoformer::Error::Contents) if the network makes values of
/// a window that are not finite.
pub fn classify_windows(
    model: &Model<'_>,
    clips: &[PathBuf],
    mut open: impl FnMut(&Path) -> Result<Clip> + Send + 'static,
    (views, batch): (Views, u32),
    windows: WindowSpec,
    head: Option<&Head>,
    progress: &mut impl WindowProgress,
) -> Result<ControlFlow<()>> {
    windows.check()?;
    let spec = model.config().views(views);
    let stream = move |path: &Path| WindowStream::new(open(path)?, &spec, windows);
    let (heads, views) = (Heads::of(model, head)?, views.count());
    let outputs = heads.outputs();
    let mut classifier = WindowClassifier { clips, heads, views, growing: BTreeMap::new(), progress };
    let flow = watch_streams(model, clips, &spec, stream, batch, &outputs, &mut classifier);
    // What was found so far is not lost.
    let unfinished: Vec<usize> = classifier.growing.keys().copied().collect();
    unfinished.into_iter().try_for_each(|clip| classifier.end_spans(clip))?;
    flow
}

/// What is known of a clip that goes on.
#[derive(Default)]
struct Growing {
    /// Of the window of which not all views have been seen.
    averages: Vec<Average>,
    /// How many of them have been.
    seen: u32,
    /// The span of each head that may go on.
    open: Vec<Option<Span>>,
}

impl Growing {
    /// Lengthens the span of each head by a window, or begins another: returns those that are over, with their head.
    fn grow(&mut self, window: &Window, heads: &[Average]) -> Vec<(usize, Span)> {
        self.open.resize(heads.len(), None);
        let mut over = Vec::new();
        for (head, (open, average)) in self.open.iter_mut().zip(heads).enumerate() {
            let Some(&(class, probability)) = average.top(1).first() else { continue };
            match open.as_mut().filter(|span| span.class == class) {
                Some(span) => {
                    span.end = window.end;
                    span.windows += 1;
                    span.probability += (probability - span.probability) / span.windows as f64;
                }
                None => {
                    let begun = Span { start: window.start, end: window.end, class, probability, windows: 1 };
                    over.extend(open.replace(begun).map(|span| (head, span)));
                }
            }
        }
        over
    }
}

/// Averages the views of one window after the other.
struct WindowClassifier<'p, P> {
    clips: &'p [PathBuf],
    heads: Heads<'p>,
    /// Views of a window.
    views: u32,
    /// Of clips that are not done.
    growing: BTreeMap<usize, Growing>,
    progress: &'p mut P,
}

impl<P: WindowProgress> WindowClassifier<'_, P> {
    /// Nothing more comes of a clip.
    fn end_spans(&mut self, clip: usize) -> Result<()> {
        let open = self.growing.remove(&clip).unwrap_or_default().open;
        let mut spans = open.into_iter().enumerate().filter_map(|(head, span)| Some((head, span?)));
        spans.try_for_each(|(head, span)| self.progress.span(clip, head, span))
    }
}

impl<P: WindowProgress> Observer for WindowClassifier<'_, P> {
    fn seen(&mut self, seen: Seen<'_>) -> Result<()> {
        let Some(window) = seen.window else { return Ok(()) };
        let growing = self.growing.entry(seen.clip).or_default();
        // Whoever waits for a stream to end would not hear of it.
        if let Some(value) = self.heads.add(&seen, &mut growing.averages)? {
            return Err(not_finite(&self.clips[seen.clip], value));
        }
        growing.seen += 1;
        self.progress.view();
        if growing.seen < self.views {
            return Ok(());
        }
        let heads = std::mem::take(&mut growing.averages);
        growing.seen = 0;
        let over = growing.grow(&window, &heads);
        over.into_iter().try_for_each(|(head, span)| self.progress.span(seen.clip, head, span))?;
        self.progress.window(seen.clip, ClassifiedWindow { window, heads })
    }

    fn done(&mut self, clip: usize, watched: Watched) -> Result<()> {
        self.end_spans(clip)?;
        self.progress.clip(clip, watched)
    }

    fn flow(&mut self) -> ControlFlow<()> {
        let is_amid = self.growing.values().any(|growing| growing.seen > 0);
        if is_amid { ControlFlow::Continue(()) } else { self.progress.flow() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of two classes, of which the second one has this probability.
    fn head(probability: f32) -> Average {
        let mut average = Average::default();
        average.add(&[(1.0 - probability).ln(), probability.ln()]);
        average
    }

    #[test]
    fn windows_of_the_same_class_are_one_span() {
        let mut growing = Growing::default();
        let heads = [[0.9, 0.1], [0.7, 0.2], [0.2, 0.4], [0.1, 0.45], [0.75, 0.6]];
        let mut over = Vec::new();
        for (number, heads) in heads.iter().enumerate() {
            let start = number as f64 * 2.0;
            over.extend(growing.grow(&Window { number: number as u64, start, end: start + 3.0 }, &heads.map(head)));
            assert_eq!(over.len(), [0, 0, 1, 1, 3][number], "each as soon as it is over");
        }
        over.extend(growing.open.iter().enumerate().map(|(head, span)| (head, span.expect("one may go on"))));
        over.sort_by_key(|(head, _)| *head);
        let found: Vec<_> = over.iter().map(|(head, span)| (*head, span.start, span.end, span.class, span.windows)).collect();
        let expected =
            [(0, 0.0, 5.0, 1, 2), (0, 4.0, 9.0, 0, 2), (0, 8.0, 11.0, 1, 1), (1, 0.0, 9.0, 0, 4), (1, 8.0, 11.0, 1, 1)];
        assert_eq!(found, expected);
        let means: Vec<f64> = over.iter().map(|(_, span)| span.probability).collect();
        for (found, expected) in means.iter().zip([0.8, 0.85, 0.75, (0.9 + 0.8 + 0.6 + 0.55) / 4.0, 0.6]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
