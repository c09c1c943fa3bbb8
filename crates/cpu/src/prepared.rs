//! A prepared plan: its buffers, and how each dispatch runs.

use std::borrow::Cow;

use orthoformer::gpu::{Granularity, RunOptions, Timing};
use orthoformer::plan::{Binding, BufferId, BufferSpec, Role};
use orthoformer::{Error, Plan, Result, Tensor, Tensors};
use web_time::Instant;

use super::engine::CpuEngine;
use super::kernels::{Environment, MOST_BINDINGS, Step};
use super::memory::Memory;
use super::packs::{Matrices, Packs};
use super::shared::CpuWeights;

/// A plan ready to run on the CPU, again and again.
#[derive(Debug)]
pub struct CpuPrepared<'a> {
    engine: &'a CpuEngine,
    plan: Cow<'a, Plan>,
    options: RunOptions,
    memory: Memory,
    packs: Packs,
    /// One a dispatch.
    steps: Vec<Step>,
}

impl<'a> CpuPrepared<'a> {
    pub(super) fn new(engine: &'a CpuEngine, plan: Cow<'a, Plan>, weights: &CpuWeights, options: RunOptions) -> Result<Self> {
        let memory = Memory::new(&plan, weights, options)?;
        let mut packs = Packs::default();
        let context = engine.context();
        let steps = engine.install(|| {
            let mut packed = |binding: &Binding, matrices: Matrices| {
                let spec = &plan.buffers()[binding.buffer().index()];
                let is_input = matches!(spec.role, Role::Input | Role::Constant(_));
                is_input.then(|| packs.number(*binding, matrices, || weights.packed(spec, binding, &matrices, context)))
            };
            plan.dispatches().map(|dispatch| Step::of(dispatch, &mut packed)).collect()
        });
        Ok(Self { engine, plan, options, memory, packs, steps })
    }
}

impl CpuPrepared<'_> {
    /// Takes the inputs. Those that are shared with other plans need not be given, and stay as they are.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`].
    pub fn upload(&mut self, inputs: &Tensors) -> Result<()> {
        for (id, tensor) in self.plan.inputs_where(inputs, |id| !self.memory.is_shared(id))? {
            copy(&self.plan, &mut self.memory, id, tensor);
            self.packs.forget(id);
        }
        Ok(())
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if the plan has no input of this name of its own, [`Error::WrongShape`].
    pub fn feed(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let is_own = |(id, spec): &(BufferId, &BufferSpec)| spec.role == Role::Input && !self.memory.is_shared(*id);
        let own = || self.plan.numbered_buffers().filter(is_own);
        let Some((id, spec)) = own().find(|(_, spec)| spec.name == name) else {
            let names: Vec<&str> = own().map(|(_, spec)| spec.name.as_str()).collect();
            let given = format!("the plan's own inputs {}", names.join(", "));
            return Err(Error::MissingTensor { name: name.to_owned(), given });
        };
        spec.check(tensor)?;
        copy(&self.plan, &mut self.memory, id, tensor);
        self.packs.forget(id);
        Ok(())
    }

    /// Number of dispatches of the plan.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of this plan alone.
    pub fn own_bytes(&self) -> u64 {
        self.memory.own_bytes() + self.packs.bytes()
    }

    /// Bytes of the plan's buffers, with inputs that other plans share.
    pub fn bytes(&self) -> u64 {
        self.own_bytes() + self.memory.shared_bytes()
    }

    /// Runs the plan and hands out its outputs.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn run(&mut self) -> Result<Tensors> {
        self.time(Granularity::Whole)?;
        let is_read = |spec: &BufferSpec| spec.is_output() || (self.options.read_scratch && spec.role == Role::Scratch);
        let read = self.plan.numbered_buffers().filter(|(_, spec)| is_read(spec));
        let found = read.filter_map(|(id, spec)| Some((spec, self.memory.last(id)?)));
        let tensor = |(spec, elements): (&BufferSpec, &[f32])| {
            Ok((spec.name.clone(), spec.tensor(elements[..spec.elements() as usize].to_vec())?))
        };
        found.map(tensor).collect()
    }

    /// Runs the plan, or one dispatch of it, without handing anything out. Nothing is allocated but the times of single dispatches.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a dispatch that the plan does not have.
    pub fn time(&mut self, granularity: Granularity) -> Result<Timing> {
        let count = self.steps.len();
        let range = match granularity {
            Granularity::Dispatch(index) if index >= count => {
                return Err(Error::OutOfRange { what: "dispatch", index: index as u64, count: count as u64 });
            }
            Granularity::Dispatch(index) => index..index + 1,
            Granularity::Whole | Granularity::Dispatches => 0..count,
        };
        let mut passes = Vec::with_capacity(if granularity == Granularity::Dispatches { count } else { 0 });
        let start = Instant::now();
        let Self { engine, plan, memory, packs, steps, .. } = self;
        engine.install(|| {
            packs.refresh(memory, engine.context());
            let environment = Environment { context: engine.context(), packs };
            let mut before = start;
            for (number, dispatch) in plan.dispatches().enumerate().skip(range.start).take(range.len()) {
                let Some((output, inputs)) = dispatch.bindings.split_last() else { continue };
                let mut written = memory.take(output.buffer(), number);
                let mut bound: [&[f32]; MOST_BINDINGS] = [&[]; MOST_BINDINGS];
                for (bound, binding) in bound.iter_mut().zip(inputs) {
                    *bound = memory.bound(binding, number);
                }
                let part = &mut written[output.range()];
                steps[number].run(dispatch, &bound[..inputs.len()], part, &environment);
                dispatch.elements.last().copied().unwrap_or_default().round(part);
                memory.put(output.buffer(), number, written);
                if granularity == Granularity::Dispatches {
                    let now = Instant::now();
                    passes.push(now - before);
                    before = now;
                }
            }
        });
        let wall = start.elapsed();
        Ok(Timing { wall, passes: Some(if granularity == Granularity::Dispatches { passes } else { vec![wall] }) })
    }
}

/// Copies an input into the plan's memory, rounded as it is stored.
fn copy(plan: &Plan, memory: &mut Memory, id: BufferId, tensor: &Tensor) {
    if let Some(elements) = memory.own_input(id) {
        elements.copy_from_slice(tensor.data());
        plan.buffers()[id.index()].element.round(elements);
    }
}
