//! Errors, cost and time of approximations on a clip.

use orthoformer::ops::{Approximation, follow, layer, trajectories};
use orthoformer::plan::{Plan, PlanLimits, Role};
use orthoformer::tensor::missing;
use orthoformer::{Result, Tensor};
use orthoformer_cpu::Executor;

use super::{ClipProblem, Method};

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Methods.
    pub methods: Vec<Method>,
    /// `R`: prototypes, landmarks or features, in ascending order.
    pub counts: Vec<u32>,
    /// Further numbers of features for Performer.
    pub features: Vec<u32>,
    /// Runs of each row, with seeds 0, 1, ...; errors are their means, the time their median.
    pub seeds: u64,
}

/// One method with one count on one clip.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Row {
    /// The method; `None` is exact attention.
    pub method: Option<Method>,
    /// Its name for people.
    pub name: String,
    /// Prototypes, landmarks or features; 0 for exact attention.
    pub count: u32,
    /// `|tokens - exact| / |exact|` over all trajectory tokens.
    pub token_error: f64,
    /// Cosine of the angle between all trajectory tokens and the exact ones.
    pub token_cosine: f64,
    /// The same for the layer's output.
    pub layer_error: f64,
    /// The same for the layer's output.
    pub layer_cosine: f64,
    /// Share of followed patches and frames in which the patch with the most attention is that of exact attention.
    pub peak_agreement: f64,
    /// Multiplications with their additions, for the trajectory tokens.
    pub multiply_adds: u64,
    /// Bytes that the trajectory tokens take on the device beside inputs, outputs and constants.
    pub scratch_bytes: u64,
    /// Most bytes on the device while the trajectory tokens are made, read-back included; 0 on the reference.
    pub device_bytes: u64,
    /// Time to make the trajectory tokens, from allocation to read-back, milliseconds.
    pub milliseconds: f64,
}

/// What attention makes of a clip.
#[derive(Clone)]
struct Made {
    tokens: Tensor,
    y: Tensor,
    attention: Tensor,
}

/// Measures exact attention and every method with every count on a clip. `progress` is told after every run of a row; its error ends the work.
///
/// # Errors
/// Those of planning, of the executor and of `progress`; a count above the tokens is [`orthoformer::Error::TooLarge`].
pub fn measure(
    problem: &ClipProblem,
    study: &Study,
    executor: &Executor,
    mut progress: impl FnMut() -> Result<()>,
) -> Result<Vec<Row>> {
    let more = |method: Method| if method == Method::Performer { study.features.as_slice() } else { &[] };
    // Everything is planned before anything runs: a count that does not fit costs no work.
    for &method in &study.methods {
        for &count in study.counts.iter().chain(more(method)) {
            trajectories::plan_with(&problem.shape, &method.approximation(count, 0), PlanLimits::default())?;
        }
    }
    let mut runner = Runner { problem, executor, exact: None };
    // Pipelines are compiled before anything is timed.
    runner.warm_up(Approximation::Exact)?;
    let mut rows = vec![runner.row(None, 0, study.seeds, &mut progress)?];
    for &method in &study.methods {
        if let Some(&count) = study.counts.first() {
            runner.warm_up(method.approximation(count, 0))?;
        }
        for &count in study.counts.iter().chain(more(method)) {
            rows.push(runner.row(Some(method), count, study.seeds, &mut progress)?);
        }
    }
    Ok(rows)
}

impl Study {
    /// How often [`measure`] reports progress.
    pub fn runs(&self) -> usize {
        let of_method = |method: &Method| self.counts.len() + if *method == Method::Performer { self.features.len() } else { 0 };
        (1 + self.methods.iter().map(of_method).sum::<usize>()) * self.seeds as usize
    }
}

struct Runner<'r> {
    problem: &'r ClipProblem,
    executor: &'r Executor,
    exact: Option<Made>,
}

impl Runner<'_> {
    fn warm_up(&self, approximation: Approximation) -> Result<()> {
        let plan = trajectories::plan_with(&self.problem.shape, &approximation, PlanLimits::default())?;
        self.executor.run(&plan, &self.problem.trajectories).map(drop)
    }

    fn row(&mut self, method: Option<Method>, count: u32, seeds: u64, progress: &mut impl FnMut() -> Result<()>) -> Result<Row> {
        let (mut sums, mut times) = ([0.0; 5], Vec::new());
        let (mut plan, mut device_bytes) = (None, 0);
        for seed in 0..seeds {
            let approximation = method.map_or(Approximation::Exact, |method| method.approximation(count, seed));
            let limits = PlanLimits::default();
            let tokens_plan = trajectories::plan_with(&self.problem.shape, &approximation, limits)?;
            let mut run = self.executor.run(&tokens_plan, &self.problem.trajectories)?;
            times.push(run.wall.as_secs_f64() * 1e3);
            device_bytes = device_bytes.max(run.device_bytes);
            let tokens = run.outputs.remove("tokens").ok_or_else(|| missing("tokens", &run.outputs))?;
            plan = Some(tokens_plan);
            // Exact attention is the same for every seed: it is run again for its time alone.
            if method.is_some() || self.exact.is_none() {
                let found = self.rest(tokens, approximation)?;
                let exact = self.exact.get_or_insert_with(|| found.clone());
                sums.iter_mut().zip(scores(&found, exact)).for_each(|(sum, score)| *sum += score);
            }
            progress()?;
        }
        times.sort_by(f64::total_cmp);
        let runs = if method.is_some() { seeds as f64 } else { 1.0 };
        let [token_error, token_cosine, layer_error, layer_cosine, peak_agreement] = sums.map(|sum| sum / runs);
        Ok(Row {
            method,
            name: method.map_or("exact", Method::name).to_owned(),
            count,
            token_error,
            token_cosine,
            layer_error,
            layer_cosine,
            peak_agreement,
            multiply_adds: plan.as_ref().map_or(0, Plan::multiply_adds),
            scratch_bytes: plan.as_ref().map_or(0, scratch_bytes),
            device_bytes,
            milliseconds: times[times.len() / 2],
        })
    }

    /// The layer's output and the attention of the followed patches.
    fn rest(&self, tokens: Tensor, approximation: Approximation) -> Result<Made> {
        let limits = PlanLimits::default();
        let one = |plan: &Plan, inputs, name: &str| {
            let mut outputs = self.executor.run(plan, inputs)?.outputs;
            outputs.remove(name).ok_or_else(|| missing(name, &outputs))
        };
        let attention = follow::attention(&self.problem.follow, &approximation, limits)?;
        let attention = one(&attention, &self.problem.following, "attention")?;
        let layer = layer::plan(&self.problem.layer_spec(approximation), limits)?;
        Ok(Made { tokens, y: one(&layer, &self.problem.layer, "y")?, attention })
    }
}

/// Bytes of a plan's scratch buffers.
pub(super) fn scratch_bytes(plan: &Plan) -> u64 {
    plan.buffers().iter().filter(|spec| spec.role == Role::Scratch).map(|spec| spec.bytes()).sum()
}

/// Error and cosine of the tokens and of the layer, and the agreement of peaks.
fn scores(found: &Made, exact: &Made) -> [f64; 5] {
    let [token_error, token_cosine] = error_and_cosine(&found.tokens, &exact.tokens);
    let [layer_error, layer_cosine] = error_and_cosine(&found.y, &exact.y);
    let patches = *exact.attention.shape().last().unwrap_or(&1);
    let peak = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)));
    let rows = found.attention.data().chunks(patches).zip(exact.attention.data().chunks(patches));
    let (same, count) = rows.fold((0, 0), |(same, count), (a, b)| (same + usize::from(peak(a) == peak(b)), count + 1));
    [token_error, token_cosine, layer_error, layer_cosine, same as f64 / count.max(1) as f64]
}

fn error_and_cosine(found: &Tensor, exact: &Tensor) -> [f64; 2] {
    let (mut difference, mut square, mut other_square, mut product) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (&found, &exact) in found.data().iter().zip(exact.data()) {
        let (found, exact) = (f64::from(found), f64::from(exact));
        difference += (found - exact).powi(2);
        square += exact * exact;
        other_square += found * found;
        product += found * exact;
    }
    [(difference / square).sqrt(), product / (square * other_square).sqrt()]
}
