//! A plan of one's own: an MLP with a residual, `y = x + W2 gelu(W1 x + b1)`, from the kernel `linear` twice. Whatever is built this way runs on
//! the GPU and in the reference, and is checked dispatch by dispatch as it is put together.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{EngineOptions, RunOptions};
use orthoformer::kernel::{Activation, Linear};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::reference::{self, Route};
use orthoformer::{Engine, Plan, PlanLimits, Result, Tensor, Tensors};

const ROWS: u64 = 100;
const WIDTH: u64 = 48;
const HIDDEN: u64 = 192;

fn plan() -> Result<Plan> {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let [rows, width, hidden] = [ROWS, WIDTH, HIDDEN];
    let x = builder.array("x", &[rows, width], Role::Input)?;
    let w1 = builder.array("w1", &[hidden, width], Role::Input)?;
    let b1 = builder.array("b1", &[hidden], Role::Input)?;
    let w2 = builder.array("w2", &[width, hidden], Role::Input)?;
    let between = builder.array("between", &[rows, hidden], Role::Scratch)?;
    let y = builder.array("y", &[rows, width], Role::Output)?;
    let up = Linear { bias: Some(b1), ..Linear::new(x, w1, between).activated(Some(Activation::Gelu)) };
    builder.launch("up, with GELU", up)?;
    let down = Linear { residual: Some(x), ..Linear::new(between, w2, y) };
    builder.launch("down, and the residual", down)?;
    Ok(builder.build())
}

fn main() -> Result<()> {
    let plan = plan()?;
    let mut inputs = Tensors::new();
    for (seed, spec) in plan.buffers().iter().enumerate().filter(|(_, spec)| spec.role == Role::Input) {
        let shape: Vec<usize> = spec.shape.iter().map(|&size| size as usize).collect();
        let numbers = (0..shape.iter().product()).map(|i: usize| ((i * (seed + 3)) as f32 * 0.37).sin() * 0.2).collect();
        inputs.insert(spec.name.clone(), Tensor::new(shape, numbers)?);
    }
    let engine = Engine::new(&EngineOptions::default())?;
    let found = engine.run(&plan, &inputs, RunOptions::default())?.outputs;
    let expected = reference::run(&plan, &inputs, Route::Kernels)?;
    let outcome = compare(&found["y"], &expected["y"], Tolerance::OPERATION);
    println!("{}: {} dispatches, {outcome:?}", engine.adapter(), plan.dispatches().count());
    Ok(())
}
