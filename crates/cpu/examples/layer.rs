//! Times a layer of trajectory attention on the CPU, as a whole and dispatch by dispatch: `layer [FRAMESxPATCHESxCHANNELSxHEADS] [batch] [threads]`.

use std::collections::BTreeMap;

use orthoformer::gpu::{Granularity, RunOptions};
use orthoformer::ops::{Approximation, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue, layer};
use orthoformer::plan::Role;
use orthoformer::{Shape, Tensor, Tensors, draw};
use orthoformer_cpu::{CpuEngine, CpuOptions};

const RUNS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, usual: &str| arguments.get(index).cloned().unwrap_or_else(|| usual.to_owned());
    let sizes = argument(0, "8x196x768x12").split('x').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let [frames, patches, channels, heads] = sizes[..] else { return Err("four sizes, FxSxCxH".into()) };
    let engine = CpuEngine::new(&CpuOptions { threads: arguments.get(2).map(|threads| threads.parse()).transpose()? })?;
    let spec = LayerSpec {
        shape: Shape::new(argument(1, "1").parse()?, heads, frames, patches, channels / heads)?,
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    let plan = layer::plan(&spec, engine.plan_limits())?;
    let mut inputs = Tensors::new();
    for (index, spec) in plan.buffers().iter().filter(|spec| spec.role == Role::Input).enumerate() {
        let scale = if spec.name.ends_with(".weight") { (3.0 / channels as f32).sqrt() } else { 1.7 };
        let shape: Vec<usize> = spec.shape.iter().map(|&size| size as usize).collect();
        let numbers = draw::values(1, index as u64, shape.iter().product(), scale);
        inputs.insert(spec.name.clone(), Tensor::new(shape, numbers)?);
    }
    let mut prepared = engine.prepare(&plan, RunOptions::default())?;
    prepared.upload(&inputs)?;
    let mut walls = Vec::new();
    let mut stages: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for run in 0..RUNS {
        walls.push(prepared.time(Granularity::Whole)?.wall.as_secs_f64() * 1e3);
        let passes = prepared.time(Granularity::Dispatches)?.passes.unwrap_or_default();
        for (dispatch, pass) in plan.dispatches().zip(passes).filter(|_| run > 0) {
            let stage = stages.entry(dispatch.label).or_default();
            *stage = (stage.0 + pass.as_secs_f64(), stage.1 + dispatch.multiply_adds);
        }
    }
    walls.sort_by(f64::total_cmp);
    println!("{}: {:.1} ms (best {:.1})", engine.describe(), walls[RUNS / 2], walls[0]);
    for (label, (seconds, multiply_adds)) in stages {
        let milliseconds = seconds * 1e3 / (RUNS - 1) as f64;
        println!("{label:24} {milliseconds:8.2} ms  {:7.1} GFLOP/s", 2e-9 * multiply_adds as f64 / seconds);
    }
    Ok(())
}
