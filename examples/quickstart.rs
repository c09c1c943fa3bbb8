//! Trajectory tokens of random queries, keys and values on whatever GPU there is.
//!
//! `cargo run --release --example quickstart`

use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::ops::trajectories;
use orthoformer::{PlanLimits, Result, Shape, Tensor, Tensors};

fn main() -> Result<()> {
    // Batch, heads, frames, patches a frame, head size.
    let shape = Shape::new(1, 4, 8, 49, 32)?;
    let plan = trajectories::plan(&shape, PlanLimits::default())?;
    let sizes = vec![1, 4, 8 * 49, 32];
    let wave = |step: f32| (0..4 * 8 * 49 * 32).map(|index| (index as f32 * step).sin()).collect();
    let inputs = Tensors::from([
        ("q".to_owned(), Tensor::new(sizes.clone(), wave(0.37))?),
        ("k".to_owned(), Tensor::new(sizes.clone(), wave(0.61))?),
        ("v".to_owned(), Tensor::new(sizes, wave(0.13))?),
    ]);
    let engine = Engine::new(&EngineOptions::default())?;
    let run = engine.run(&plan, &inputs, RunOptions::default())?;
    let tokens = &run.outputs["tokens"];
    println!("{:?} trajectory tokens on {}, {} device bytes", tokens.shape(), engine.adapter().name, run.device_bytes);
    Ok(())
}
