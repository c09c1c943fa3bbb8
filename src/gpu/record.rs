//! Recording plans into a host's command encoders.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BufferUsages, CommandEncoder, ComputePass};

use super::bindings::{Bindings, BoundSlices};
use super::device_errors::now;
use super::engine::Engine;
use super::memory::STORAGE;
use super::run::RunOptions;
use super::steps::{BindGroups, Steps};
use super::within::Spread;
use crate::error::{Error, Result};
use crate::plan::{BufferId, Plan, PlanMemory, Role, ScratchLayout};

/// Sets of bindings whose bind groups a recording keeps: enough for buffers that alternate.
const SETS_KEPT: usize = 8;

/// Recordings by plan.
#[derive(Default)]
pub(super) struct Recordings {
    by_plan: HashMap<usize, (PlanMemory, Arc<Recording>)>,
}

/// Everything that is made once to record a plan.
pub(super) struct Recording {
    pub steps: Steps,
    /// By the plan's buffer.
    constants: Vec<Option<wgpu::Buffer>>,
    layout: ScratchLayout,
    /// The engine's own scratch memory, if a host relied on it.
    scratch: Mutex<Option<Vec<wgpu::Buffer>>>,
    /// The last sets of bindings, latest first.
    bound: Mutex<VecDeque<(BoundSlices, Arc<BindGroups>)>>,
    /// The plan as it is spread over frames, if it is.
    spread: Mutex<Option<Spread>>,
}

impl Engine {
    /// Records a plan into a command encoder of the host's, in a compute pass of its own. Nothing is submitted and nothing waited for.
    ///
    /// The first time, a plan's kernels are compiled and its params, constants and (unless the host brings it) scratch memory are allocated;
    /// from then on nothing is allocated on the device. Bind groups are kept for the eight sets of bindings that were used last, and with them
    /// the host's buffers, until [`Engine::forget`] is called, or the plan and all its clones are gone and another plan is recorded or compiled.
    ///
    /// All recordings of a plan share the engine's scratch memory: a host that submits to several queues brings its own.
    ///
    /// # Errors
    /// [`Error::HostBinding`] for missing or unsuitable bindings, and then nothing is recorded; those of [`Engine::compile`];
    /// [`Error::NotCompiled`] in a browser if that was not called.
    pub fn record(&self, plan: &Plan, bindings: &Bindings<'_>, encoder: &mut CommandEncoder) -> Result<()> {
        let (recording, groups) = self.bound(plan, bindings)?;
        let descriptor = wgpu::ComputePassDescriptor { label: Some("orthoformer"), timestamp_writes: None };
        recording.steps.record_all(&groups, &mut encoder.begin_compute_pass(&descriptor));
        Ok(())
    }

    /// The same into an open compute pass. It changes pipeline and bind group 0.
    ///
    /// # Errors
    /// Those of [`Engine::record`].
    pub fn record_pass(&self, plan: &Plan, bindings: &Bindings<'_>, pass: &mut ComputePass<'_>) -> Result<()> {
        let (recording, groups) = self.bound(plan, bindings)?;
        recording.steps.record_all(&groups, pass);
        Ok(())
    }

    /// Compiles a plan ahead of its first recording, because compiling takes time. Blocks while the driver compiles, submits nothing.
    ///
    /// # Errors
    /// [`Error::NoHalf`], [`Error::BufferTooLarge`], [`Error::BindingTooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`],
    /// [`Error::Shader`], [`Error::Device`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn compile(&self, plan: &Plan) -> Result<()> {
        pollster::block_on(self.compile_async(plan))
    }

    /// [`Engine::compile`] as a future: browsers need it before they can record.
    ///
    /// # Errors
    /// Those of [`Engine::compile`].
    pub async fn compile_async(&self, plan: &Plan) -> Result<()> {
        self.not_lost("compiling a plan").await?;
        self.recording(plan).await.map(drop)
    }

    /// Drops the recording of a plan, with its handles to the host's buffers.
    pub fn forget(&self, plan: &Plan) {
        self.recordings().by_plan.remove(&plan.identity().key());
    }

    /// The recording of a plan, and the bind groups for these bindings.
    fn bound(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<(Arc<Recording>, Arc<BindGroups>)> {
        let recording = self.ready(plan)?;
        let groups = recording.groups(self, plan, bindings.resolve(plan)?)?;
        // Both use the same scratch memory.
        if let Some(spread) = &mut *recording.spread() {
            spread.restart();
        }
        Ok((recording, groups))
    }

    /// The recording of a plan, without waiting: an existing one is ready at once, in a browser too.
    pub(super) fn ready(&self, plan: &Plan) -> Result<Arc<Recording>> {
        self.not_known_lost("recording a plan")?;
        now(self.recording(plan)).ok_or(Error::NotCompiled)?
    }

    /// The recording of a plan, if there is one. Drops the recordings of dropped plans.
    fn known(&self, plan: &Plan) -> Option<Arc<Recording>> {
        let mut recordings = self.recordings();
        recordings.by_plan.retain(|_, (plan, _)| plan.is_alive());
        recordings.by_plan.get(&plan.identity().key()).map(|(_, recording)| recording.clone())
    }

    async fn recording(&self, plan: &Plan) -> Result<Arc<Recording>> {
        if let Some(recording) = self.known(plan) {
            return Ok(recording);
        }
        let steps = self.steps(plan, RunOptions::default()).await?;
        let mut constants = Vec::new();
        for spec in plan.buffers() {
            constants.push(match &spec.role {
                Role::Constant(words) => {
                    Some(self.filled_buffer(&spec.name, bytemuck::cast_slice(words), BufferUsages::STORAGE).await?)
                }
                _ => None,
            });
        }
        let (scratch, bound, spread) = (Mutex::default(), Mutex::default(), Mutex::default());
        let recording = Arc::new(Recording { steps, constants, layout: plan.shared_scratch(), scratch, bound, spread });
        let mut recordings = self.recordings();
        let entry = recordings.by_plan.entry(plan.identity().key());
        Ok(entry.or_insert_with(|| (plan.identity().remember(), recording)).1.clone())
    }

    /// Drops all recordings: their variant choices are no longer valid.
    pub(super) fn forget_all(&self) {
        self.recordings().by_plan.clear();
    }

    fn recordings(&self) -> std::sync::MutexGuard<'_, Recordings> {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    /// Bind groups for these bindings: kept ones, if there are any.
    fn groups(&self, engine: &Engine, plan: &Plan, slices: BoundSlices) -> Result<Arc<BindGroups>> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = bound.iter().position(|(known, _)| *known == slices)
            && let Some(found) = bound.remove(position)
        {
            let groups = found.1.clone();
            bound.push_front(found);
            return Ok(groups);
        }
        let groups = Arc::new(self.bind(engine, plan, &self.steps, &slices)?);
        bound.push_front((slices, groups.clone()));
        bound.truncate(SETS_KEPT);
        Ok(groups)
    }

    /// Bind groups for these bindings and steps.
    pub fn bind(&self, engine: &Engine, plan: &Plan, steps: &Steps, slices: &BoundSlices) -> Result<BindGroups> {
        slices.check(engine, plan)?;
        let own = if slices.scratch.is_empty() { self.own_scratch(engine)? } else { Vec::new() };
        let locate = |buffer: BufferId, dispatch: usize| match (&slices.named[buffer.index()], &self.constants[buffer.index()]) {
            (Some(slice), _) => Some((&slice.buffer, slice.offset)),
            (None, Some(constant)) => Some((constant, 0)),
            (None, None) => {
                let allocation = self.layout.allocation(buffer, dispatch)?;
                let given = slices.scratch.get(allocation).map(|slice| (&slice.buffer, slice.offset));
                given.or_else(|| Some((own.get(allocation)?, 0)))
            }
        };
        apart(plan, locate)?;
        engine.checked_now("binding the host's buffers", || steps.bind(engine, plan, locate))
    }

    pub fn spread(&self) -> std::sync::MutexGuard<'_, Option<Spread>> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_scratch(&self, engine: &Engine) -> Result<Vec<wgpu::Buffer>> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scratch) = scratch.as_ref() {
            return Ok(scratch.clone());
        }
        let allocate = |&bytes: &u64| engine.buffer("scratch", bytes, STORAGE);
        let made: Vec<_> =
            engine.checked_now("allocating scratch memory", || self.layout.allocations().iter().map(allocate).collect())?;
        *scratch = Some(made.clone());
        Ok(made)
    }
}

/// Checks that no dispatch reads the buffer that it writes.
fn apart<'b>(plan: &Plan, locate: impl Fn(BufferId, usize) -> Option<(&'b wgpu::Buffer, u64)>) -> Result<()> {
    for (index, dispatch) in plan.dispatches().enumerate() {
        let Some((written, read)) = dispatch.bindings.split_last() else { continue };
        let Some((target, _)) = locate(written.buffer, index) else { continue };
        let clash = read.iter().find(|binding| locate(binding.buffer, index).is_some_and(|(buffer, _)| buffer == target));
        if let Some(clash) = clash {
            let name = |buffer: BufferId| plan.buffers()[buffer.index()].name.clone();
            return Err(Error::HostBinding {
                buffer: name(written.buffer),
                found: format!("the same buffer as {:?}", name(clash.buffer)),
                expected: format!("another: the dispatch that computes {:?} reads one and writes the other", dispatch.label),
            });
        }
    }
    Ok(())
}
