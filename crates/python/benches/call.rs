//! What a call from Python costs over the same call in Rust: trajectory tokens of host arrays at Motionformer-B's sizes, interleaved. `python3`, or the interpreter
//! that `ORTHOFORMER_PYTHON` names, has to have the package: `cargo bench --package orthoformer-python`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Instant;

use orthoformer::gpu::EngineOptions;
use orthoformer::ops::{Approximation, Operation};
use orthoformer::{Result, Shape, Tensor, Tensors};
use orthoformer_cpu::Executor;

/// `[frames, patches, heads, head size]` of Motionformer-B: 8x196x768x12.
const SIZES: [usize; 4] = [8, 196, 12, 64];
const ROUNDS: usize = 41;

/// Answers each line with the seconds of a call.
const PROGRAM: &str = r#"
import sys, time
import numpy as np, orthoformer as of
frames, patches, heads, size = map(int, sys.argv[1:])
q, k, v = (np.full((1, heads, frames * patches, size), 0.5, np.float32) for _ in range(3))
engine = of.Engine()
for _ in sys.stdin:
    start = time.perf_counter()
    of.trajectory_attention(q, k, v, frames=frames, executor=engine)
    print(time.perf_counter() - start, flush=True)
"#;

fn main() {
    // Tests of all targets run benchmarks too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("skipped: it is no test");
    }
    let python = std::env::var_os("ORTHOFORMER_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM]).args(SIZES.map(|size| size.to_string()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let mut asked = child.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut in_python = |asked: &mut ChildStdin| {
        writeln!(asked).expect("Python listens");
        answers.next().expect("an answer").expect("text").parse::<f64>().expect("seconds")
    };
    let (executor, _) =
        Executor::best(&EngineOptions { largest_buffer_bytes: u64::MAX, ..EngineOptions::default() }).expect("an executor");
    let inputs = inputs().expect("inputs");
    let in_rust = || {
        let start = Instant::now();
        call(&executor, &inputs).expect("tokens");
        start.elapsed().as_secs_f64()
    };
    // Shaders are compiled in the first round.
    let mut times: Vec<[f64; 2]> = (0..=ROUNDS).map(|_| [in_rust(), in_python(&mut asked)]).skip(1).collect();
    drop(asked);
    child.wait().expect("Python ends");
    let [rust, python] = [0, 1].map(|side| {
        times.sort_by(|a, b| a[side].total_cmp(&b[side]));
        1e3 * times[ROUNDS / 2][side]
    });
    println!("{}: {rust:.1} ms in Rust, {python:.1} ms in Python, {:+.1} %", executor.describe(), 100.0 * (python / rust - 1.0));
}

fn inputs() -> Result<Tensors> {
    let [frames, patches, heads, size] = SIZES;
    let tensor = || Tensor::new(vec![1, heads, frames * patches, size], vec![0.5; heads * frames * patches * size]);
    ["q", "k", "v"].into_iter().map(|name| Ok((name.to_owned(), tensor()?))).collect()
}

/// The call that `of.trajectory_attention` makes.
fn call(executor: &Executor, inputs: &Tensors) -> Result<Tensors> {
    let [frames, patches, heads, size] = SIZES;
    let shape = Shape::new(1, heads, frames, patches, size)?;
    let plan = Operation::Trajectories(shape, Approximation::Exact).plan(executor.plan_limits())?;
    Ok(executor.run(&plan, inputs)?.outputs)
}
