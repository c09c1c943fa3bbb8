//! Inputs of the table's cases, drawn from a random stream that the case's name seeds.
//!
//! Elements are normally distributed around zero. Standard deviations keep scores and results in a range where an error
//! shows: 1 for `x` and values, 1 / sqrt C for weights, 2 / sqrt C for those of the temporal stage, 0.3 for their
//! biases and 0.1 for the last one. Some displacements are far outside of the grid.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::Result;
use super::file::Case;
use super::table::{Entry, Inputs};
use super::tensor::Tensor;

/// Every so many displacements one is far.
const FAR_EVERY: usize = 37;

/// Factor on a far displacement.
const FAR: f64 = 20.0;

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Normally distributed, with this standard deviation.
    Normal(f64),
    /// The same, some of them [`FAR`] as large.
    Far(f64),
    /// Normally distributed candidates. Row 7 repeats row 3, row 10 opposes it, row 9 is zero.
    Degenerate,
    /// Whole numbers below this.
    Below(usize),
}

/// An input of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Name of the tensor.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it holds.
    pub fill: Fill,
}

impl Input {
    fn new(name: &str, shape: &[usize], fill: Fill) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), fill }
    }

    fn normal(name: &str, shape: &[usize], deviation: f64) -> Self {
        Self::new(name, shape, Fill::Normal(deviation))
    }

    fn draw(&self, stream: &mut ChaCha8Rng) -> Tensor {
        let count: usize = self.shape.iter().product();
        let columns = self.shape.last().copied().unwrap_or(1).max(1);
        let mut normal = |deviation: f64| {
            let drawn: f64 = StandardNormal.sample(stream);
            // What the file can hold.
            f64::from((deviation * drawn) as f32)
        };
        let mut values: Vec<f64> = match self.fill {
            Fill::Below(end) => {
                let indices: Vec<usize> = (0..count).map(|_| (stream.next_u64() % end.max(1) as u64) as usize).collect();
                return Tensor::indices(self.shape.clone(), &indices);
            }
            Fill::Normal(deviation) | Fill::Far(deviation) => (0..count).map(|_| normal(deviation)).collect(),
            Fill::Degenerate => (0..count).map(|_| normal(1.0)).collect(),
        };
        match self.fill {
            Fill::Far(_) => values.iter_mut().step_by(FAR_EVERY).for_each(|value| *value *= FAR),
            Fill::Degenerate => degenerate(&mut values, columns),
            Fill::Normal(_) | Fill::Below(_) => {}
        }
        Tensor::floats(self.shape.clone(), values)
    }
}

/// Rows that repeat, oppose and are zero, where there are so many.
fn degenerate(values: &mut [f64], columns: usize) {
    let mut rows: Vec<&mut [f64]> = values.chunks_mut(columns).collect();
    if let [_, _, _, repeated, _, _, _, repeating, _, zero, opposed, ..] = rows.as_mut_slice() {
        repeating.copy_from_slice(repeated);
        zero.fill(0.0);
        opposed.iter_mut().zip(repeated.iter()).for_each(|(opposed, value)| *opposed = -value);
    }
}

/// The metadata of a case.
pub fn metadata(entry: &Entry) -> Result<BTreeMap<String, String>> {
    let pairs = entry.metadata.split_whitespace().map(|pair| {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} in the table is not KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    });
    let mut metadata = pairs.collect::<Result<BTreeMap<_, _>>>()?;
    metadata.insert("op".to_owned(), entry.operation.to_owned());
    Ok(metadata)
}

/// The case with its metadata and drawn inputs.
pub fn case(entry: &Entry) -> Result<Case> {
    let mut case = Case { metadata: metadata(entry)?, ..Case::default() };
    let mut stream = ChaCha8Rng::seed_from_u64(seed(entry.name));
    for input in inputs(entry, &case)? {
        let drawn = input.draw(&mut stream);
        case.tensors.insert(input.name, drawn);
    }
    Ok(case)
}

/// The 64-bit FNV-1a hash of a name.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The inputs of a case, in the order in which they are drawn. `case` has its metadata.
pub fn inputs(entry: &Entry, case: &Case) -> Result<Vec<Input>> {
    Ok(match entry.inputs {
        Inputs::Attention { shape, deviation, features } => {
            let [batch, heads, tokens, size] = shape;
            let mut inputs = vec![
                Input::normal("q", &shape, deviation),
                Input::normal("k", &shape, deviation),
                Input::normal("v", &shape, 1.0),
            ];
            if features > 0 {
                inputs.push(Input::normal("projection", &[features, size], 1.0));
            }
            inputs.extend(start(case, batch * heads, tokens)?);
            inputs
        }
        Inputs::Layer { shape, biases } => layer(case, shape, biases)?,
        Inputs::Candidates { shape, degenerate } => {
            let [groups, rows, _] = shape;
            let fill = if degenerate { Fill::Degenerate } else { Fill::Normal(1.0) };
            vec![Input::new("x", &shape, fill), Input::new("start", &[groups], Fill::Below(rows))]
        }
        Inputs::Deformable(shape) => {
            let [batch, heads, frames, rows, columns, _] = shape;
            let (sub_clip, samples) = (case.count("sub_clip", None)?, case.count("samples", None)?);
            let of_queries = [batch, heads, frames, rows, columns, sub_clip, samples];
            vec![
                Input::normal("v", &shape, 1.0),
                Input::normal("logits", &of_queries, 2.0),
                Input::new("displacement", &[&of_queries[..], &[2]].concat(), Fill::Far(2.0)),
            ]
        }
    })
}

fn layer(case: &Case, shape: [usize; 3], biases: bool) -> Result<Vec<Input>> {
    let [batch, tokens, channels] = shape;
    let mut inputs = vec![Input::normal("x", &shape, 1.0)];
    let mut linear = |name: &str, outputs: usize, factor: f64, bias: Option<f64>| {
        let weight = format!("{name}.weight");
        inputs.push(Input::normal(&weight, &[outputs, channels], factor / (channels as f64).sqrt()));
        inputs.extend(bias.map(|deviation| Input::normal(&format!("{name}.bias"), &[outputs], deviation)));
    };
    let bias = biases.then_some(0.3);
    linear("qkv", 3 * channels, 1.0, bias);
    if case.metadata.get("attention").is_some_and(|attention| attention == "trajectory") {
        linear("proj_q", channels, 2.0, bias);
        linear("proj_kv", 2 * channels, 2.0, bias);
    }
    linear("proj", channels, 1.0, Some(0.1));
    let class_tokens = usize::from(case.flag("class_token", true)?);
    inputs.extend(start(case, batch * case.count("heads", None)?, tokens.saturating_sub(class_tokens))?);
    Ok(inputs)
}

/// The input `start` of a selection in `heads` heads of so many tokens, if there is one.
fn start(case: &Case, heads: usize, tokens: usize) -> Result<Option<Input>> {
    if case.metadata.get("approximation").is_none_or(|approximation| approximation != "orthoformer") {
        return Ok(None);
    }
    let groups = if case.flag("per_frame", false)? { case.count("frames", Some(1))? } else { 1 };
    let with_keys = case.metadata.get("candidates").is_some_and(|candidates| candidates == "queries_and_keys");
    let candidates = if with_keys { 2 * tokens / groups } else { tokens / groups };
    Ok(Some(Input::new("start", &[heads * groups], Fill::Below(candidates))))
}
