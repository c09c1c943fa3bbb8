// Trajectory attention of random queries, keys and values: a plan, an adapter, a result.

use orthoformer::gpu::{EngineOptions, RunOptions};
use orthoformer::ops::trajectories;
use orthoformer::{Engine, PlanLimits, Shape, Tensor, Tensors};

fn main() -> orthoformer::Result<()> {
    // One clip, 2 heads, 4 frames of 9 patches, head size 16.
    let shape = Shape::new(1, 2, 4, 9, 16)?;
    let plan = trajectories::plan(&shape, PlanLimits::default())?;
    let axes = vec![1, 2, 4 * 9, 16];
    let numbers = |seed: f32| (0..2 * 36 * 16).map(|i| (i as f32 * seed).sin()).collect();
    let tensor = |seed| Tensor::new(axes.clone(), numbers(seed));
    let inputs = Tensors::from([("q".into(), tensor(0.3)?), ("k".into(), tensor(0.7)?), ("v".into(), tensor(1.1)?)]);
    let engine = Engine::new(&EngineOptions::default())?;
    let run = engine.run(&plan, &inputs, RunOptions::default())?;
    println!("tokens {:?} on {} in {:?}", run.outputs["tokens"].shape(), engine.adapter(), run.wall);
    Ok(())
}
