//! From a case's metadata and tensors to its operation.

use std::collections::HashMap;

use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Schedule, Selection,
};
use orthoformer::ops::sampling::{Grid, SamplingSpec};
use orthoformer::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, PrototypesSpec, TemporalValue};
use orthoformer::shape::fits_u32;
use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Shape, Tensors};

/// Values of `op`. Models and networks are read elsewhere.
const OPERATIONS: &[&str] = match cfg!(feature = "files") {
    true => &["trajectories", "attention", "prototypes", "deformable", "layer", "model", "network"],
    false => &["trajectories", "attention", "prototypes", "deformable", "layer"],
};

/// What a case file says beside its expected outputs.
pub(super) struct Metadata<'c> {
    pub values: &'c HashMap<String, String>,
    pub inputs: &'c Tensors,
}

impl<'c> Metadata<'c> {
    pub fn operation(&self) -> Result<Operation> {
        Ok(match self.one_of("op", OPERATIONS, None)? {
            "trajectories" => Operation::Trajectories(self.trajectories()?, self.approximation()?),
            "attention" => Operation::Attention(self.sequence()?, self.approximation()?),
            "prototypes" => {
                let [groups, rows, size] = self.sizes("x", "[groups, rows, row size]")?;
                Operation::Prototypes(PrototypesSpec { groups, rows, size, prototypes: self.prototypes("count")? })
            }
            "deformable" => Operation::Deformable(self.deformable()?),
            _ => Operation::Layer(self.layer()?),
        })
    }

    /// `q [B,H,N,D]` and the number of frames.
    fn trajectories(&self) -> Result<Shape> {
        let [batch, heads, tokens, size] = self.sizes("q", "[batch, heads, tokens, head size]")?;
        let frames = self.number("frames", None)?;
        Shape::new(batch, heads, frames, divide("tokens", tokens, "frames", frames)?, size)
    }

    /// `v [B,H,F,Y,X,D]`, with the frames of a sub-clip and the samples in each.
    fn deformable(&self) -> Result<SamplingSpec> {
        let sizes: [usize; 6] = self.sizes("v", "[batch, heads, frames, rows, columns, head size]")?;
        let mut small = [0; 6];
        for (size, from) in small.iter_mut().zip(sizes) {
            *size = fits_u32("size of v", from as u64)?;
        }
        let [batch, heads, frames, rows, columns, head_size] = small;
        let grid = Grid { frames, rows, columns, sub_clip: self.small("sub_clip", None)? };
        Ok(SamplingSpec { batch, heads, grid, samples: self.small("samples", None)?, head_size })
    }

    /// `q [B,H,N,D]` of one sequence.
    fn sequence(&self) -> Result<Shape> {
        let [batch, heads, tokens, size] = self.sizes("q", "[batch, heads, tokens, head size]")?;
        Shape::new(batch, heads, 1, tokens, size)
    }

    fn approximation(&self) -> Result<Approximation> {
        let names = ["exact", "orthoformer", "nystrom", "performer"];
        Ok(match self.one_of("approximation", &names, Some("exact"))? {
            "orthoformer" => Approximation::Orthoformer(self.prototypes("prototypes")?),
            "nystrom" => {
                let landmarks = self.small("prototypes", None)?;
                Approximation::Nystrom(Nystrom { landmarks, iterations: self.small("iterations", Some(6))? })
            }
            "performer" => Approximation::Performer(match self.inputs.contains_key("projection") {
                true => {
                    let [features, _] = self.sizes("projection", "[features, head size]")?;
                    let features = fits_u32("features", features as u64)?;
                    Performer { features, projection: FeatureProjection::Given }
                }
                false => {
                    let seed = self.number("seed", Some(0))? as u64;
                    Performer { features: self.small("features", None)?, projection: FeatureProjection::Drawn { seed } }
                }
            }),
            _ => Approximation::Exact,
        })
    }

    /// Prototypes, their number under `count`.
    fn prototypes(&self, count: &'static str) -> Result<Prototypes> {
        let candidates = match self.one_of("candidates", &["queries", "queries_and_keys"], Some("queries"))? {
            "queries" => Candidates::Queries,
            _ => Candidates::QueriesAndKeys,
        };
        let count = self.small(count, None)?;
        Ok(Prototypes { count, candidates, selection: self.selection()?, per_frame: self.is_true("per_frame", "false")? })
    }

    fn selection(&self) -> Result<Selection> {
        let names = ["greedy", "random", "segment_means", "k_means", "spherical_k_means"];
        let seed = self.number("seed", Some(0))? as u64;
        let spherical = match self.one_of("selection", &names, Some("greedy"))? {
            "random" => return Ok(Selection::Random { seed }),
            "segment_means" => return Ok(Selection::SegmentMeans),
            "k_means" => false,
            "spherical_k_means" => true,
            _ => {
                let criterion = match self.one_of("criterion", &["sum", "max"], Some("sum"))? {
                    "sum" => Criterion::Sum,
                    _ => Criterion::Max,
                };
                let normalise = self.is_true("normalise", "true")?;
                let (fraction, start, schedule) = (self.fraction()?, self.start()?, Schedule::Automatic);
                return Ok(Selection::Greedy(Greedy { criterion, normalise, fraction, start, seed, schedule }));
            }
        };
        Ok(Selection::KMeans { iterations: self.small("iterations", Some(5))?, seed, spherical })
    }

    /// First picks, from the tensor `start` of integers.
    fn start(&self) -> Result<Option<Vec<u32>>> {
        let Some(tensor) = self.inputs.get("start") else { return Ok(None) };
        if !tensor.is_indices() {
            let found = "floats".to_owned();
            return Err(Error::WrongType { name: "start".to_owned(), found, expected: "I32, I64 or U32" });
        }
        Ok(Some(tensor.data().iter().map(|&start| start as u32).collect()))
    }

    /// `x [B,T,C]`, frames and heads, and which weights there are.
    fn layer(&self) -> Result<LayerSpec> {
        let [batch, sequence, channels] = self.sizes("x", "[batch, tokens, channels]")?;
        let (frames, heads) = (self.number("frames", None)?, self.number("heads", None)?);
        let class_token = self.is_true("class_token", "true")?;
        let tokens = sequence.saturating_sub(usize::from(class_token));
        let what = if class_token { "tokens without the class token" } else { "tokens" };
        let patches = divide(what, tokens, "frames", frames)?;
        let shape = Shape::new(batch, heads, frames, patches, divide("channels", channels, "heads", heads)?)?;
        let attentions = ["trajectory", "joint", "divided_space", "divided_time"];
        let attention = match self.one_of("attention", &attentions, None)? {
            "joint" => LayerAttention::Joint,
            "divided_space" => LayerAttention::DividedSpace,
            "divided_time" => LayerAttention::DividedTime,
            _ => LayerAttention::Trajectory(match self.one_of("temporal_value", &["projected", "identity"], None)? {
                "projected" => TemporalValue::Projected,
                _ => TemporalValue::Identity,
            }),
        };
        let has = |name: &str| self.inputs.contains_key(name);
        let biases =
            Biases { qkv: has("qkv.bias"), proj_q: has("proj_q.bias"), proj_kv: has("proj_kv.bias"), proj: has("proj.bias") };
        let trajectory = matches!(attention, LayerAttention::Trajectory(_));
        let outputs = LayerOutputs { tokens: trajectory, indices: trajectory, ..LayerOutputs::default() };
        let approximation = self.approximation()?;
        Ok(LayerSpec { shape, attention, approximation, class_token, biases, outputs })
    }

    fn sizes<const AXES: usize>(&self, name: &str, expected: &str) -> Result<[usize; AXES]> {
        let tensor = self.inputs.get(name).ok_or_else(|| missing(name, self.inputs))?;
        let found = tensor.shape().to_vec();
        found.try_into().map_err(|found| Error::WrongShape { name: name.to_owned(), found, expected: expected.to_owned() })
    }

    fn number(&self, key: &'static str, default: Option<usize>) -> Result<usize> {
        let found = self.values.get(key);
        let parsed = found.map_or(default, |value| value.parse().ok());
        parsed.ok_or_else(|| self.wrong(key, "a whole number".to_owned()))
    }

    fn small(&self, key: &'static str, default: Option<usize>) -> Result<u32> {
        fits_u32(key, self.number(key, default)? as u64)
    }

    fn fraction(&self) -> Result<f64> {
        let parsed = self.values.get("fraction").map_or(Some(1.0), |value| value.parse().ok());
        parsed.ok_or_else(|| self.wrong("fraction", "a number above 0 and at most 1".to_owned()))
    }

    fn is_true(&self, key: &'static str, default: &'static str) -> Result<bool> {
        Ok(self.one_of(key, &["true", "false"], Some(default))? == "true")
    }

    /// The value of a key, which must be one of `values`; `default` stands in where there is none.
    fn one_of(&self, key: &'static str, values: &[&'c str], default: Option<&'c str>) -> Result<&'c str> {
        let found = self.values.get(key).map(String::as_str).or(default);
        match found {
            Some(value) if values.contains(&value) => Ok(value),
            _ => Err(self.wrong(key, format!("one of {}", values.join(", ")))),
        }
    }

    fn wrong(&self, key: &'static str, expected: String) -> Error {
        let found = self.values.get(key).map_or("missing".to_owned(), |value| format!("{value:?}"));
        Error::Metadata { key, found, expected }
    }
}

fn divide(what: &'static str, given: usize, divisor_name: &'static str, divisor: usize) -> Result<usize> {
    if divisor == 0 {
        return Err(Error::ZeroSize { what: divisor_name });
    }
    if !given.is_multiple_of(divisor) {
        return Err(Error::DoesNotDivide { what, given: given as u64, divisor_name, divisor: divisor as u64 });
    }
    Ok(given / divisor)
}
