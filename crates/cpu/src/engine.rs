//! The engine: a pool of threads, and how plans are cut for caches.

use std::borrow::Cow;
use std::time::Duration;

use orthoformer::gpu::{Run, RunOptions};
use orthoformer::{Error, Plan, PlanLimits, Result, Tensors};
use rayon::{ThreadPool, ThreadPoolBuilder};
use web_time::Instant;

use super::context::Context;
use super::prepared::CpuPrepared;
use super::shared::CpuWeights;

/// Most threads of an engine.
const MOST_THREADS: usize = 1024;
/// Bytes that a scratch buffer of a plan should take: what operations compute in slices then stays in the cache that cores share.
const SCRATCH_BYTES: u64 = 8 << 20;

/// Options of a [`CpuEngine`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// Number of threads; `None` is what the system offers.
    pub threads: Option<usize>,
}

/// Runs plans on the CPU.
#[derive(Debug)]
pub struct CpuEngine {
    pool: ThreadPool,
    context: Context,
}

impl CpuEngine {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::TooLarge`] for the number of threads, [`Error::OutOfMemory`] if the system refuses them.
    pub fn new(options: &CpuOptions) -> Result<Self> {
        let offered = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let threads = options.threads.unwrap_or_else(offered);
        match threads {
            0 => return Err(Error::ZeroSize { what: "threads" }),
            _ if threads > MOST_THREADS => {
                return Err(Error::TooLarge { what: "threads", given: threads as u64, most: MOST_THREADS as u64 });
            }
            _ => {}
        }
        let builder = ThreadPoolBuilder::new().thread_name(|number| format!("orthoformer {number}"));
        // Browsers have no threads to start.
        let builder = match cfg!(target_arch = "wasm32") {
            true => builder.num_threads(1).use_current_thread(),
            false => builder.num_threads(threads),
        };
        let refused = |error: rayon::ThreadPoolBuildError| Error::OutOfMemory {
            doing: format!("starting {threads} threads"),
            message: error.to_string(),
        };
        let pool = builder.build().map_err(refused)?;
        let context = Context::new(pool.current_num_threads());
        Ok(Self { pool, context })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Limits of plans for it: slices that stay in caches, and loops of any length.
    pub fn plan_limits(&self) -> PlanLimits {
        PlanLimits {
            binding_bytes: u32::MAX.into(),
            scratch_bytes: SCRATCH_BYTES,
            loop_iterations: None,
            ..PlanLimits::default()
        }
    }

    /// What it computes with.
    pub fn describe(&self) -> String {
        let threads = self.threads();
        let instructions = self.context.instructions();
        format!("the CPU engine, {threads} {} with {instructions}", if threads == 1 { "thread" } else { "threads" })
    }

    /// Allocates a plan's buffers. Its inputs are zero until [`CpuPrepared::upload`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn prepare<'a>(&'a self, plan: &'a Plan, options: RunOptions) -> Result<CpuPrepared<'a>> {
        CpuPrepared::new(self, Cow::Borrowed(plan), &CpuWeights::default(), options)
    }

    /// The same with inputs that other plans share; all other inputs are the plan's own.
    ///
    /// # Errors
    /// Those of [`CpuEngine::prepare`].
    pub fn prepare_sharing<'a>(&'a self, plan: Plan, weights: &CpuWeights, options: RunOptions) -> Result<CpuPrepared<'a>> {
        CpuPrepared::new(self, Cow::Owned(plan), weights, options)
    }

    /// Runs a plan: inputs in, outputs out. Of the options, variants say nothing here.
    ///
    /// # Errors
    /// Those of [`Plan::inputs`] and [`CpuEngine::prepare`].
    pub fn run(&self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        let start = Instant::now();
        // Before anything is allocated.
        plan.inputs(inputs)?;
        let mut prepared = self.prepare(plan, options)?;
        prepared.upload(inputs)?;
        let ready: Duration = start.elapsed();
        let outputs = prepared.run()?;
        Ok(Run { outputs, device_bytes: prepared.bytes(), wall: start.elapsed(), ready })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Runs on the engine's threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}
