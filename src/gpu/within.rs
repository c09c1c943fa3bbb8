//! Recording a plan over several frames, so that each keeps to a budget of time.

use std::sync::Arc;
use std::time::Duration;

use wgpu::{CommandEncoder, ComputePass};

use super::bindings::{Bindings, BoundSlices};
use super::engine::Engine;
use super::frame_clock::FrameClock;
use super::record::Recording;
use super::steps::{BindGroups, Steps};
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Plan};

/// Share of the budget that is planned for: what takes longer than expected has the rest.
const PLANNED: f64 = 0.8;
/// What a dispatch takes whatever its size, seconds.
const OVERHEAD: f64 = 20e-6;
/// How much of the old time stays in a time that has become shorter: longer ones count at once.
const INERTIA: f64 = 0.5;

/// How far a plan is that is recorded within budgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Whether the whole plan has been recorded: once this frame is submitted, its outputs are there, and the next call begins anew.
    pub is_finished: bool,
    /// Share of the plan's dispatches that has been recorded, 0 to 1.
    pub share: f64,
    /// Time that what was just recorded should take on the device.
    pub expected: Duration,
}

/// A plan that is spread over frames.
pub(super) struct Spread {
    steps: Steps,
    /// The bindings of the frames so far.
    bound: Option<(BoundSlices, Arc<BindGroups>)>,
    /// The next dispatch, and the next of its slices.
    next: (usize, usize),
    speeds: Speeds,
    /// `None` without timestamps.
    clock: Option<FrameClock>,
}

/// How long workgroups take.
struct Speeds {
    dispatches: Vec<Speed>,
    /// Measured time over estimated time, for what is only estimated.
    bias: f64,
}

/// How long the workgroups of one dispatch take.
struct Speed {
    /// Seconds a workgroup, by the engine's multiply-add rate.
    estimate: f64,
    /// Seconds a workgroup, once it was measured.
    measured: Option<f64>,
    /// Whether the only measurement is the first one, in which drivers may have compiled.
    is_first: bool,
}

/// Slices of a dispatch that are recorded as one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SliceRun {
    pub dispatch: usize,
    pub workgroups: u64,
    first: usize,
    slices: usize,
}

impl Engine {
    /// Records as much of a plan as should take the device no longer than `budget`, and goes on there in the next call: one a frame. Results are
    /// those of [`Engine::record`] to the bit.
    ///
    /// Times are those that earlier frames took by timestamp queries (`Features::TIMESTAMP_QUERY`), which arrive as the host submits or polls. Until
    /// then, and without them, they are estimated by [`Engine::set_multiply_add_rate`] or a low guess. At least one slice is recorded, however
    /// small the budget.
    ///
    /// Every encoder has to be submitted, in order. Until [`Progress::is_finished`] inputs, bindings and scratch memory stay as they are, and outputs
    /// are unfinished; [`Engine::record`] of the same plan and [`Engine::forget`] make it begin anew.
    ///
    /// # Errors
    /// Those of [`Engine::record`], and [`Error::HostBinding`] for other bindings than in the frame before; then nothing is recorded.
    pub fn record_within(
        &self,
        plan: &Plan,
        bindings: &Bindings<'_>,
        encoder: &mut CommandEncoder,
        budget: Duration,
    ) -> Result<Progress> {
        let recording = self.ready(plan)?;
        let slices = bindings.resolve(plan)?;
        let mut spread = recording.spread();
        let spread = match &mut *spread {
            Some(spread) => spread,
            empty => empty.insert(Spread::new(self, plan, &recording)?),
        };
        let groups = spread.groups(self, plan, &recording, slices)?;
        if let Some(clock) = &mut spread.clock {
            clock.collect(self, |run, seconds| spread.speeds.measured(run, seconds));
        }
        let (runs, expected) = spread.choose(budget.as_secs_f64() * PLANNED);
        spread.record(self, &groups, &runs, encoder)?;
        Ok(spread.advance(&runs, expected))
    }
}

impl Spread {
    fn new(engine: &Engine, plan: &Plan, recording: &Recording) -> Result<Self> {
        let steps = recording.steps.finer(engine, plan)?;
        let rate = engine.pace().rate.max(1.0);
        let estimate = |(index, dispatch): (usize, &crate::plan::Dispatch)| {
            dispatch.multiply_adds as f64 / rate / steps.workgroups(index).max(1) as f64
        };
        let speeds = Speeds::new(plan.dispatches().enumerate().map(estimate));
        let clock = engine.has_timestamps().then(FrameClock::default);
        Ok(Self { steps, bound: None, next: (0, 0), speeds, clock })
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        self.next = (0, 0);
    }

    fn groups(&mut self, engine: &Engine, plan: &Plan, recording: &Recording, slices: BoundSlices) -> Result<Arc<BindGroups>> {
        if let Some((known, groups)) = &self.bound {
            if *known == slices {
                return Ok(groups.clone());
            }
            if self.next != (0, 0) {
                return Err(other_bindings(plan, known, &slices));
            }
        }
        let groups = Arc::new(recording.bind(engine, plan, &self.steps, &slices)?);
        self.bound = Some((slices, groups.clone()));
        Ok(groups)
    }

    /// The next runs that take no longer than so many seconds together, and how long they should take.
    fn choose(&self, seconds: f64) -> (Vec<SliceRun>, f64) {
        let (mut dispatch, mut first) = self.next;
        let (mut runs, mut expected) = (Vec::new(), 0.0);
        while dispatch < self.steps.len() && runs.len() < FrameClock::RUNS {
            let slices = self.steps.slices(dispatch).get(first..).unwrap_or_default();
            let (mut workgroups, mut time, mut count) = (0, OVERHEAD, 0);
            for slice in slices {
                let more = slice.workgroups();
                let with = time + more as f64 * self.speeds.of(dispatch);
                let is_first = runs.is_empty() && count == 0;
                if workgroups + more > self.steps.per_dimension() || !(is_first || expected + with <= seconds) {
                    break;
                }
                (workgroups, time, count) = (workgroups + more, with, count + 1);
            }
            if count == 0 {
                break;
            }
            runs.push(SliceRun { dispatch, workgroups, first, slices: count });
            expected += time;
            (dispatch, first) = if count == slices.len() { (dispatch + 1, 0) } else { (dispatch, first + count) };
        }
        (runs, expected)
    }

    /// Records runs: each in a pass of its own if there is a clock to time it.
    fn record(&mut self, engine: &Engine, groups: &BindGroups, runs: &[SliceRun], encoder: &mut CommandEncoder) -> Result<()> {
        let record = |run: &SliceRun, pass: &mut ComputePass<'_>| {
            let slices = self.steps.slices(run.dispatch).get(run.first..run.first + run.slices);
            self.steps.record_run(groups, run.dispatch, slices.unwrap_or_default(), pass);
        };
        if let Some(clock) = &mut self.clock
            && clock.record(engine, encoder, runs, record)?
        {
            return Ok(());
        }
        let descriptor = wgpu::ComputePassDescriptor { label: Some("orthoformer"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        runs.iter().for_each(|run| record(run, &mut pass));
        Ok(())
    }

    fn advance(&mut self, runs: &[SliceRun], expected: f64) -> Progress {
        if let Some(last) = runs.last() {
            let (dispatch, next) = (last.dispatch, last.first + last.slices);
            let is_done = next >= self.steps.slices(dispatch).len();
            self.next = if is_done { (dispatch + 1, 0) } else { (dispatch, next) };
        }
        let (dispatches, (dispatch, slice)) = (self.steps.len(), self.next);
        let is_finished = dispatch >= dispatches;
        let part = slice as f64 / self.steps.slices(dispatch).len().max(1) as f64;
        let share = if is_finished { 1.0 } else { (dispatch as f64 + part) / dispatches as f64 };
        if is_finished {
            self.restart();
        }
        Progress { is_finished, share, expected: Duration::from_secs_f64(expected) }
    }
}

impl Speeds {
    fn new(estimates: impl Iterator<Item = f64>) -> Self {
        Self { dispatches: estimates.map(|estimate| Speed { estimate, measured: None, is_first: true }).collect(), bias: 1.0 }
    }

    fn of(&self, dispatch: usize) -> f64 {
        self.dispatches.get(dispatch).map_or(0.0, |speed| speed.measured.unwrap_or(speed.estimate * self.bias))
    }

    /// Notes the time that a run took.
    fn measured(&mut self, run: &SliceRun, seconds: f64) {
        let Some(speed) = self.dispatches.get_mut(run.dispatch) else { return };
        let found = (seconds - OVERHEAD).max(0.0) / run.workgroups.max(1) as f64;
        let Some(known) = speed.measured else {
            speed.measured = Some(found);
            return;
        };
        // What has no multiply-adds says nothing about the estimates of what has.
        if speed.is_first && speed.estimate > 0.0 {
            self.bias = INERTIA * self.bias + (1.0 - INERTIA) * found / speed.estimate;
        }
        let is_replaced = std::mem::take(&mut speed.is_first) || found > known;
        speed.measured = Some(if is_replaced { found } else { INERTIA * known + (1.0 - INERTIA) * found });
    }
}

/// Says which bindings differ between frames.
fn other_bindings(plan: &Plan, known: &BoundSlices, given: &BoundSlices) -> Error {
    let differs = |(before, now): (&Option<_>, &Option<_>)| before != now;
    let at = known.named.iter().zip(&given.named).position(differs);
    let buffer = at.and_then(|at| plan.buffers().get(at)).map_or("scratch", |spec: &BufferSpec| spec.name.as_str());
    let expected = "the same until the plan is finished, or Engine::forget".to_owned();
    Error::HostBinding { buffer: buffer.to_owned(), found: "another part than in the frame before".to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_times_count_at_once_and_shorter_ones_slowly() {
        let mut speeds = Speeds::new([1e-3, 2e-3].into_iter());
        let run = SliceRun { dispatch: 0, workgroups: 10, first: 0, slices: 1 };
        let measure = |speeds: &mut Speeds, milliseconds: f64, expected: [f64; 2]| {
            speeds.measured(&run, 1e-3 * milliseconds + OVERHEAD);
            for (dispatch, expected) in expected.into_iter().enumerate() {
                assert!((speeds.of(dispatch) - 1e-3 * expected).abs() < 1e-9, "{dispatch}: {}", speeds.of(dispatch));
            }
        };
        // The first time may be the compiler's: it counts until there is another, for this dispatch alone.
        measure(&mut speeds, 9000.0, [900.0, 2.0]);
        // The other was estimated by the same guess, which was four times too low.
        measure(&mut speeds, 40.0, [4.0, 5.0]);
        measure(&mut speeds, 20.0, [3.0, 5.0]);
        measure(&mut speeds, 60.0, [6.0, 5.0]);
        speeds.measured(&SliceRun { dispatch: 9, ..run }, 1.0);
    }
}
