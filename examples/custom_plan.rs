//! A plan of one's own: an MLP with a residual, `y = x + W2 gelu(W1 x + b1)`, from the kernel `linear` twice. Whatever is built this way runs on
//! the GPU and in the reference, and is checked dispatch by dispatch as it is put together.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{EngineOptions, RunOptions};
use orthoformer::params::{Activation, LinearParams};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::reference::{self, Route};
use orthoformer::{Engine, Plan, PlanLimits, Result, Tensor, Tensors};

const ROWS: u32 = 100;
const WIDTH: u32 = 48;
const HIDDEN: u32 = 192;

fn plan() -> Result<Plan> {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let [rows, width, hidden] = [ROWS, WIDTH, HIDDEN].map(u64::from);
    let x = builder.buffer("x", &[rows, width], Role::Input)?;
    let w1 = builder.buffer("w1", &[hidden, width], Role::Input)?;
    let b1 = builder.buffer("b1", &[hidden], Role::Input)?;
    let w2 = builder.buffer("w2", &[width, hidden], Role::Input)?;
    let between = builder.buffer("between", &[rows, hidden], Role::Scratch)?;
    let y = builder.buffer("y", &[rows, width], Role::Output)?;
    let [x, w1, b1, w2, between, y] = [x, w1, b1, w2, between, y].map(|buffer| builder.bind_all(buffer));
    let (x, w1, b1, w2, between, y) = (x?, w1?, b1?, w2?, between?, y?);
    let up = LinearParams { has_bias: 1, activation: Activation::Gelu.number(), ..product([WIDTH, HIDDEN]) };
    // What a product does not use is bound to something all the same: the weights here.
    builder.push("up, with GELU", up, &[x, w1, b1, w1, between])?;
    let down = LinearParams { has_residual: 1, residual_row_stride: WIDTH, ..product([HIDDEN, WIDTH]) };
    builder.push("down, and the residual", down, &[between, w2, w2, x, y])?;
    Ok(builder.build())
}

/// Rows that follow each other, times a matrix `[outputs, inputs]`.
fn product([inputs, outputs]: [u32; 2]) -> LinearParams {
    LinearParams {
        batch: 1,
        groups: 1,
        rows: ROWS,
        inputs,
        outputs,
        x_row_stride: inputs,
        w_output_stride: inputs,
        y_row_stride: outputs,
        ..LinearParams::plain()
    }
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
