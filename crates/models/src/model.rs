//! A network with its weights, ready to run.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use orthoformer::gpu::{Engine, RunOptions, SharedInputs};
use orthoformer::plan::{Element, Plan, PlanLimits};
use orthoformer::reference::{self, Route};
use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Tensor, Tensors};
pub use orthoformer_cpu::Placed;
use orthoformer_cpu::{CpuWeights, PreparedPlan};

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides};
use crate::networks::NetworkOutputs;
use crate::weights::{check, weight, weights_of};

/// Plans that are kept prepared: for two numbers of clips, with and without features, say.
const MOST_PREPARED: usize = 4;

/// A network: its configuration, its checkpoint, and on a device its weights and the plans that have been run.
///
/// Weights are uploaded when a plan first needs them, and shared by all plans. Everything is behind `&self`; calls from several threads take
/// turns.
pub struct Model<'e> {
    config: Config,
    checkpoint: Checkpoint,
    fingerprint: OnceLock<String>,
    element: Element,
    placed: Placed<'e>,
    state: Mutex<State<'e>>,
}

#[derive(Default)]
struct State<'e> {
    /// On the device.
    weights: SharedInputs,
    /// For the CPU engine.
    cpu_weights: CpuWeights,
    /// For the reference.
    on_host: Tensors,
    /// The plans that ran last, the latest first.
    prepared: Vec<(Job, PreparedPlan<'e>)>,
}

/// What a plan depends on.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    batch: u32,
    outputs: NetworkOutputs,
}

impl std::fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("config", &self.config).field("placed", &self.placed).finish_non_exhaustive()
    }
}

impl<'e> Model<'e> {
    /// Loads a checkpoint whose configuration it says itself, uploads its weights as float32 and prepares to run one clip at a time.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`], [`Config::of`] and [`Model::new`].
    pub fn load(engine: &'e Engine, path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let config = Config::of(&checkpoint, &Overrides::default())?;
        let model = Self::new(Placed::Gpu(engine), checkpoint, config, Element::F32)?;
        model.prepare(&mut model.lock(), model.usual(1))?;
        Ok(model)
    }

    /// A network of a checkpoint's tensors. `element` is what weights and intermediate values are stored as. Weights are uploaded and shaders compiled when it
    /// first runs.
    ///
    /// # Errors
    /// Those of [`check`] and [`crate::networks::Network::plan`].
    pub fn new(placed: Placed<'e>, checkpoint: Checkpoint, config: Config, element: Element) -> Result<Self> {
        check(&checkpoint, &config)?;
        let model = Self { config, checkpoint, fingerprint: OnceLock::new(), element, placed, state: Mutex::default() };
        model.plan(&model.usual(1))?;
        Ok(model)
    }

    /// The network and how clips are made ready for it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it runs.
    pub fn placed(&self) -> Placed<'e> {
        self.placed
    }

    /// A tensor of its checkpoint.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.checkpoint.read(name)
    }

    /// The fingerprint of its checkpoint, which is read once for it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::fingerprint`].
    pub fn fingerprint(&self) -> Result<String> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known.clone());
        }
        let found = self.checkpoint.fingerprint()?;
        Ok(self.fingerprint.get_or_init(|| found).clone())
    }

    /// What weights and intermediate values are stored as.
    pub fn element(&self) -> Element {
        self.element
    }

    /// How many clips can go through together so that all memory beside the weights is at most about `bytes`: at least one, and `most` at most.
    ///
    /// # Errors
    /// Those of [`crate::networks::Network::plan`].
    pub fn largest_batch(&self, bytes: u64, most: u32) -> Result<u32> {
        let peak = |batch| Ok(self.plan(&self.usual(batch))?.peak_bytes());
        let (one, two): (u64, u64) = (peak(1)?, peak(2)?);
        let each = two.saturating_sub(one).max(1);
        Ok((bytes / each).clamp(1, most.max(1).into()) as u32)
    }

    /// Bytes of weights, and of the memory of the plans that are kept: on the device, or of the CPU engine. Zero in the reference.
    pub fn device_bytes(&self) -> u64 {
        let state = self.lock();
        state.weights.bytes()
            + state.cpu_weights.bytes()
            + state.prepared.iter().map(|(_, prepared)| prepared.own_bytes()).sum::<u64>()
    }

    /// What is usually asked for of so many clips.
    fn usual(&self, batch: u32) -> Job {
        Job { batch, outputs: self.config.network.usual_outputs() }
    }

    /// The logits `[B, classes]` of each head for clips `[B, 3, frames, height, width]`, normalised as [`Config::protocol`] says; none if it has no classifier.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for other clips; what the device reports.
    pub fn forward(&self, clips: &Tensor) -> Result<Vec<Tensor>> {
        let mut outputs = self.run(clips, &self.config.network.usual_outputs())?;
        let heads = self.config.network.logits().into_iter();
        heads.map(|(name, _)| outputs.remove(&name).ok_or_else(|| missing(&name, &outputs))).collect()
    }

    /// What is asked for of clips `[B, 3, frames, height, width]`, by name; a network that takes something else takes its inputs too.
    ///
    /// # Errors
    /// Those of [`Model::forward`] and [`crate::networks::Network::plan`].
    pub fn run(&self, clips: &Tensor, outputs: &NetworkOutputs) -> Result<Tensors> {
        let input = self.config.network.input();
        let made = self.config.network.inputs_of(clips)?;
        let clips = made.as_ref().unwrap_or(clips);
        let batch = match clips.shape() {
            [batch, axes @ ..] if axes.iter().eq(&input.axes.iter().map(|&size| size as usize).collect::<Vec<_>>()) => *batch,
            found => {
                let axes: Vec<String> = input.axes.iter().map(u32::to_string).collect();
                let expected = format!("[clips, {}]", axes.join(", "));
                return Err(Error::WrongShape { name: input.name.to_owned(), found: found.to_vec(), expected });
            }
        };
        let batch = orthoformer::shape::fits_u32("clips", batch as u64)?;
        let job = Job { batch, outputs: outputs.clone() };
        let mut state = self.lock();
        match self.placed {
            Placed::Gpu(_) | Placed::Cpu(_) => {
                self.prepare(&mut state, job)?;
                let (_, prepared) = state.prepared.first_mut().ok_or(Error::ZeroSize { what: "prepared plans" })?;
                prepared.feed(input.name, clips)?;
                prepared.run()
            }
            Placed::Reference => {
                let plan = self.plan(&job)?;
                for spec in weights_of(&plan, &self.config) {
                    if !state.on_host.contains_key(&spec.name) {
                        state.on_host.insert(spec.name.clone(), weight(&self.checkpoint, &self.config, spec)?);
                    }
                }
                state.on_host.insert(input.name.to_owned(), clips.clone());
                let outputs = reference::run(&plan, &state.on_host, Route::Direct);
                // Clips may be memory of somebody else.
                state.on_host.remove(input.name);
                outputs
            }
        }
    }

    /// The plan for so many clips.
    fn plan(&self, job: &Job) -> Result<Plan> {
        let limits = match self.placed {
            Placed::Cpu(engine) => engine.plan_limits(),
            Placed::Gpu(_) | Placed::Reference => PlanLimits::default(),
        };
        let plan = self.config.network.plan(job.batch, &job.outputs, limits)?;
        Ok(plan.stored_as(self.element))
    }

    /// Brings the job's plan to the front of those that are prepared, and what it needs of the weights to its place.
    fn prepare(&self, state: &mut State<'e>, job: Job) -> Result<()> {
        if let Some(position) = state.prepared.iter().position(|(kept, _)| *kept == job) {
            state.prepared[..=position].rotate_right(1);
            return Ok(());
        }
        let plan = self.plan(&job)?;
        let read = |spec| weight(&self.checkpoint, &self.config, spec);
        for spec in weights_of(&plan, &self.config) {
            match self.placed {
                Placed::Gpu(engine) if !state.weights.has(spec) => state.weights.upload(engine, spec, &read(spec)?)?,
                Placed::Cpu(_) if !state.cpu_weights.has(spec) => state.cpu_weights.insert(spec, read(spec)?)?,
                _ => {}
            }
        }
        state.prepared.truncate(MOST_PREPARED - 1);
        let options = RunOptions::default();
        let prepared = match self.placed {
            Placed::Gpu(engine) => PreparedPlan::Gpu(engine.prepare_sharing(plan, &state.weights, options)?),
            Placed::Cpu(engine) => PreparedPlan::Cpu(engine.prepare_sharing(plan, &state.cpu_weights, options)?),
            Placed::Reference => return Ok(()),
        };
        state.prepared.insert(0, (job, prepared));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<'e>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
