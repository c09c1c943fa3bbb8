//! A prepared plan: its buffers, and how each dispatch runs.

use std::borrow::Cow;
use std::time::Duration;

use orthoformer::gpu::{Granularity, RunOptions, Timing};
use orthoformer::plan::{Binding, BufferId, BufferSpec, Dispatch, Role, Stage};
use orthoformer::{Error, Plan, Result, Tensor, Tensors};
use web_time::Instant;

use super::engine::CpuEngine;
use super::kernels::{BoundStep, Environment, MOST_BINDINGS, PackedAttention};
use super::memory::{Fusion, Memory};
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
    attention: Vec<PackedAttention>,
    steps: Vec<BoundStep>,
}

impl<'a> CpuPrepared<'a> {
    pub(super) fn new(engine: &'a CpuEngine, plan: Cow<'a, Plan>, weights: &CpuWeights, options: RunOptions) -> Result<Self> {
        let memory = Memory::new(&plan, weights, options)?;
        let (mut packs, mut attention) = (Packs::default(), Vec::new());
        let context = engine.context();
        let steps = engine.install(|| {
            let mut packed = |binding: &Binding, matrices: Matrices| {
                let spec = &plan.buffers()[binding.buffer().index()];
                let is_input = matches!(spec.role, Role::Input | Role::Constant(_));
                is_input.then(|| packs.number(*binding, matrices, || weights.packed(spec, binding, &matrices, context)))
            };
            let (mut steps, mut first) = (Vec::new(), 0);
            for stage in plan.stages() {
                let fusion = if options.read_scratch { Fusion::None } else { memory.fusion(stage.dispatches(), first) };
                steps.extend(BoundStep::of(stage, first, fusion, &mut packed, &mut attention));
                first += stage.dispatches().len();
            }
            steps
        });
        Ok(Self { engine, plan, options, memory, packs, attention, steps })
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
        self.plan.dispatches().count()
    }

    /// Whether a dispatch runs as a part of an earlier one.
    pub fn is_part_of_another(&self, dispatch: usize) -> bool {
        !self.steps.iter().any(|bound| bound.first == dispatch)
    }

    /// Whether a dispatch runs as the reference does.
    pub fn is_by_reference(&self, dispatch: usize) -> bool {
        self.steps.iter().any(|bound| bound.first == dispatch && bound.is_by_reference())
    }

    /// Bytes of this plan alone.
    pub fn own_bytes(&self) -> u64 {
        let attention = self.attention.iter().map(PackedAttention::bytes).sum::<u64>();
        self.memory.own_bytes() + self.packs.bytes() + attention
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
        let count = self.dispatches();
        let range = match granularity {
            Granularity::Dispatch(index) if index >= count => {
                return Err(Error::OutOfRange { what: "dispatch", index: index as u64, count: count as u64 });
            }
            Granularity::Dispatch(index) => index..index + 1,
            Granularity::Whole | Granularity::Dispatches => 0..count,
        };
        let mut passes = Vec::with_capacity(if granularity == Granularity::Dispatches { count } else { 0 });
        let start = Instant::now();
        let Self { engine, plan, memory, packs, attention, steps, .. } = self;
        engine.install(|| {
            packs.refresh(memory, engine.context());
            let mut environment = Environment { context: engine.context(), packs, attention };
            let mut before = start;
            let dispatches = plan.stages().iter().flat_map(Stage::dispatches);
            let mut dispatches = dispatches.enumerate();
            for bound in steps.iter_mut() {
                let Some((number, dispatch)) = dispatches.find(|(number, _)| *number == bound.first) else { break };
                if !range.contains(&number) {
                    continue;
                }
                bound.run(plan, memory, dispatch, &mut environment);
                if granularity == Granularity::Dispatches {
                    let now = Instant::now();
                    passes.push(now - before);
                    passes.extend((1..bound.count).map(|_| Duration::ZERO));
                    before = now;
                }
            }
        });
        let wall = start.elapsed();
        Ok(Timing { wall, passes: (granularity == Granularity::Dispatches).then_some(passes) })
    }
}

impl BoundStep {
    fn run(&mut self, plan: &Plan, memory: &mut Memory, dispatch: &Dispatch, environment: &mut Environment<'_>) {
        let (last, output) = (self.first + self.count - 1, self.output);
        let mut written = if self.staged.is_some() { Vec::new() } else { memory.take(output.buffer(), last) };
        let mut bound: [&[f32]; MOST_BINDINGS] = [&[]; MOST_BINDINGS];
        for (bound, binding) in bound.iter_mut().zip(&self.inputs) {
            *bound = memory.bound(binding, self.first);
        }
        let part = match &mut self.staged {
            Some(staged) => staged.as_mut_slice(),
            None => &mut written[output.range()],
        };
        self.step.run(dispatch, &bound[..self.inputs.len()], part, environment);
        if let Some(staged) = &self.staged {
            written = memory.take(output.buffer(), last);
            written[output.range()].copy_from_slice(staged);
        }
        let part = &mut written[output.range()];
        plan.buffers()[output.buffer().index()].element.round(part);
        memory.put(output.buffer(), last, written);
    }
}

/// Copies an input into the plan's memory, rounded as it is stored.
fn copy(plan: &Plan, memory: &mut Memory, id: BufferId, tensor: &Tensor) {
    if let Some(elements) = memory.own_input(id) {
        elements.copy_from_slice(tensor.data());
        plan.buffers()[id.index()].element.round(elements);
    }
}
