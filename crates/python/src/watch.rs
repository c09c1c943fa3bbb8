//! Networks looking at clips: what they make of each comes one after the other.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use orthoformer::{Error, Result, Tensor};
use orthoformer_models::{Average, Classified, ClipFeatures, Features, Model, Progress, Tokens, Watched, classify, features};
use orthoformer_video::views::Views;
use pyo3::prelude::*;

use super::arrays::{Array, array};
use super::failure::{Failure, exception};
use super::network::Loaded;
use super::waiting;

/// Clips that are done and that nobody has asked for yet.
const MOST_WAITING: usize = 2;
/// Device memory that a batch may take where nothing is said, beside the weights.
const BATCH_BYTES: u64 = 1 << 29;
/// Larger batches hardly gain anything more.
const LARGEST_BATCH: u32 = 8;

/// What is asked for of clips.
pub enum Task {
    /// So many of the likeliest classes.
    Classify(usize),
    /// Tokens after a layer.
    Features(Features, Tokens),
}

/// What a network makes of a clip.
pub struct Made {
    watched: Watched,
    heads: Vec<Vec<(usize, f64)>>,
    features: Option<Tensor>,
}

/// Looks at clips in a thread of its own; an iterator over what is made of each.
#[pyclass(module = "orthoformer", frozen)]
pub struct Watch {
    messages: Mutex<Receiver<Result<Made>>>,
    unwanted: Arc<AtomicBool>,
}

/// Failure, notes, likeliest classes of each head with their probabilities, and features of a clip.
type Row<'py> = (Option<Py<PyAny>>, Vec<String>, Vec<Vec<(usize, f64)>>, Option<Bound<'py, Array>>);

impl Watch {
    /// Starts looking.
    pub fn start(
        loaded: Arc<Loaded>,
        clips: Vec<PathBuf>,
        views: Views,
        batch: Option<u32>,
        task: Task,
    ) -> std::result::Result<Self, Failure> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let unwanted = Arc::new(AtomicBool::new(false));
        let mut progress = Sending { sender, unwanted: unwanted.clone() };
        let work = move || {
            let outcome = loaded.with_dependent(|_, model| look(model, &clips, views, batch, &task, &mut progress));
            if let Err(error) = outcome {
                // Nobody may listen any more.
                let _ = progress.sender.send(Err(error));
            }
        };
        let started = std::thread::Builder::new().name("orthoformer watches".to_owned()).spawn(work);
        started.map_err(Failure::no_thread)?;
        Ok(Self { messages: Mutex::new(receiver), unwanted })
    }
}

fn look(
    model: &Model<'_>,
    clips: &[PathBuf],
    views: Views,
    batch: Option<u32>,
    task: &Task,
    progress: &mut Sending,
) -> Result<ControlFlow<()>> {
    let all = u64::from(views.temporal * views.spatial) * clips.len() as u64;
    let batch = match batch {
        Some(batch) => batch,
        None => model.largest_batch(BATCH_BYTES, all.min(LARGEST_BATCH.into()) as u32)?,
    };
    match *task {
        Task::Classify(top) => classify(model, clips, (views, batch), None, &mut Classifying { top, sending: progress }),
        Task::Features(layer, tokens) => features(model, clips, (views, batch), (layer, tokens), progress),
    }
}

#[pymethods]
impl Watch {
    fn __iter__(own: PyRef<'_, Self>) -> PyRef<'_, Self> {
        own
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Row<'py>>> {
        let Some(message) = waiting::next(py, &self.messages)? else { return Ok(None) };
        let Made { watched, heads, features } = message.map_err(Failure::Own)?;
        let failure = watched.failure.map(|error| exception(py, &error).into_value(py).into_any());
        let features = features.map(|features| array(py, features)).transpose()?;
        Ok(Some((failure, watched.notes, heads, features)))
    }

    /// Ends the work after the current step.
    fn close(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.close();
    }
}

/// Sends what is made.
struct Sending {
    sender: SyncSender<Result<Made>>,
    unwanted: Arc<AtomicBool>,
}

impl Sending {
    fn send(&self, made: Made) {
        if self.sender.send(Ok(made)).is_err() {
            self.unwanted.store(true, Ordering::Relaxed);
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.unwanted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Progress<ClipFeatures> for Sending {
    fn view(&mut self) {}

    fn clip(&mut self, _clip: usize, made: ClipFeatures) -> Result<()> {
        self.send(Made { watched: made.watched, heads: Vec::new(), features: made.features });
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.go_on()
    }
}

/// Sends the likeliest classes.
struct Classifying<'s> {
    top: usize,
    sending: &'s mut Sending,
}

impl Progress<Classified> for Classifying<'_> {
    fn view(&mut self) {}

    fn clip(&mut self, _clip: usize, made: Classified) -> Result<()> {
        let best = |average: &Average| average.top(self.top);
        let heads = made.heads.iter().map(best).collect();
        self.sending.send(Made { watched: made.watched, heads, features: None });
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.sending.go_on()
    }
}

/// The clips of paths: folders of clips become their clips, in the order of their names.
#[pyfunction]
pub fn clips_of(py: Python<'_>, paths: Vec<PathBuf>) -> std::result::Result<Vec<PathBuf>, Failure> {
    waiting::interruptible(py, move || orthoformer_video::clips_of(&paths))
}

/// Views of a clip, temporal and spatial.
///
/// # Errors
/// [`Error::Argument`] for numbers of views that there are not.
pub fn views((temporal, spatial): (u32, u32)) -> std::result::Result<Views, Error> {
    let views = Views { temporal, spatial };
    views.check()?;
    Ok(views)
}
