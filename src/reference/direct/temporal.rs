//! The temporal stage in the published order: every trajectory token is projected to a key and a value.
//!
//! `own[n] = t[n, f(n)]`, `q2 = Wq own + bq`, `[k2 v2] = Wkv t + bkv`, and per head `y_n = sum_f softmax_f(q2_n . k2_{n,f} / sqrt D) v2_{n,f}`
//! (Patrick et al., NeurIPS 2021, section 3.1). The kernels project the query down and the pooled token up instead.

use super::super::{dot, part, softmax};
use crate::plan::{Binding, Direct};

/// What the temporal stage takes as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemporalValue {
    /// `v2 = Wv t + bv`: the corrected layer.
    Projected,
    /// `v2 = t`: what the published checkpoints were trained with.
    Identity,
}

impl TemporalValue {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Projected => "projected",
            Self::Identity => "identity",
        }
    }
}

/// The temporal stage over a chunk of queries: sizes, and where its operands lie. Offsets and strides are in elements, offsets
/// relative to their binding.
#[derive(Clone, Debug, PartialEq)]
pub struct TemporalStage {
    /// Batch items.
    pub batch: u32,
    /// `H`.
    pub heads: u32,
    /// `F`.
    pub frames: u32,
    /// `S`.
    pub patches: u32,
    /// `D`.
    pub head_size: u32,
    /// First query of the chunk, as token number `n`.
    pub first_row: u32,
    /// Queries in the chunk.
    pub rows: u32,
    /// Values *projected* or *identity*.
    pub value: TemporalValue,
    /// Softmax scale `1 / sqrt D`.
    pub scale: f32,
    /// Trajectory tokens `[batch, rows, F, C]`.
    pub tokens: Binding,
    /// First token.
    pub tokens_offset: u32,
    /// From a batch item's tokens to the next's.
    pub tokens_batch_stride: u32,
    /// `proj_q.weight [C, C]`.
    pub q_weight: Binding,
    /// `proj_q.bias [C]`.
    pub q_bias: Option<Binding>,
    /// `proj_kv.weight [2C, C]`: keys, then values.
    pub kv_weight: Binding,
    /// `proj_kv.bias [2C]`.
    pub kv_bias: Option<Binding>,
    /// Temporal weights `[batch, H, rows, F]`.
    pub weights: Binding,
    /// First weight.
    pub weights_offset: u32,
    /// From a batch item's weights to the next's.
    pub weights_batch_stride: u32,
    /// From a head's weights to the next's.
    pub weights_head_stride: u32,
    /// Results `[batch, rows, C]`.
    pub out: Binding,
    /// First result.
    pub out_offset: u32,
    /// From a batch item's results to the next's.
    pub out_batch_stride: u32,
}

impl Direct for TemporalStage {
    fn run(&self, buffers: &mut [Vec<f32>]) {
        for batch in 0..self.batch {
            for row in 0..self.rows {
                let (weights, result) = self.one_query(batch, row, buffers);
                for (head, weights) in weights.iter().enumerate() {
                    let head_start = self.weights_offset + batch * self.weights_batch_stride;
                    let start = head_start + head as u32 * self.weights_head_stride + row * self.frames;
                    store(buffers, &self.weights, start, weights);
                }
                let start = self.out_offset + batch * self.out_batch_stride + row * self.channels();
                store(buffers, &self.out, start, &result);
            }
        }
    }
}

impl TemporalStage {
    fn channels(&self) -> u32 {
        self.heads * self.head_size
    }

    /// Weights per head, and the result, of one query.
    fn one_query(&self, batch: u32, row: u32, buffers: &[Vec<f32>]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let channels = self.channels() as usize;
        let trajectory_start = self.tokens_offset + batch * self.tokens_batch_stride + row * self.frames * self.channels();
        let trajectory: Vec<&[f32]> =
            part(buffers, &self.tokens)[trajectory_start as usize..].chunks(channels).take(self.frames as usize).collect();
        let own = trajectory[((self.first_row + row) / self.patches) as usize];
        let (kv_weight, kv_bias) = (part(buffers, &self.kv_weight), self.kv_bias.map(|bias| part(buffers, &bias)));
        let q_bias = self.q_bias.map(|bias| part(buffers, &bias));
        let query = project(part(buffers, &self.q_weight), q_bias, own);
        let (key_weight, value_weight) = kv_weight.split_at(channels * channels);
        let halves = kv_bias.map(|bias| bias.split_at(channels));
        let keys: Vec<Vec<f64>> =
            trajectory.iter().map(|token| project(key_weight, halves.map(|halves| halves.0), token)).collect();
        let values: Vec<Vec<f64>> = match self.value {
            TemporalValue::Projected => {
                trajectory.iter().map(|token| project(value_weight, halves.map(|halves| halves.1), token)).collect()
            }
            TemporalValue::Identity => {
                trajectory.iter().map(|token| token.iter().map(|&number| number.into()).collect()).collect()
            }
        };
        let mut weights = Vec::new();
        let mut result = vec![0.0; channels];
        for head in 0..self.heads as usize {
            let part = head * self.head_size as usize..(head + 1) * self.head_size as usize;
            let product = |key: &Vec<f64>| key[part.clone()].iter().zip(&query[part.clone()]).map(|(k, q)| k * q).sum::<f64>();
            let mut of_frames: Vec<f64> = keys.iter().map(|key| f64::from(self.scale) * product(key)).collect();
            softmax(&mut of_frames);
            for (value, weight) in values.iter().zip(&of_frames) {
                result[part.clone()].iter_mut().zip(&value[part.clone()]).for_each(|(sum, value)| *sum += weight * value);
            }
            weights.push(of_frames);
        }
        (weights, result)
    }
}

fn store(buffers: &mut [Vec<f32>], binding: &Binding, start: u32, values: &[f64]) {
    let start = binding.first as usize + start as usize;
    for (slot, &value) in buffers[binding.buffer.index()][start..].iter_mut().zip(values) {
        *slot = value as f32;
    }
}

/// `weight token + bias`, with one row of weights per output.
fn project(weight: &[f32], bias: Option<&[f32]>, token: &[f32]) -> Vec<f64> {
    let product = |row: &[f32]| dot(row, token);
    weight
        .chunks(token.len())
        .enumerate()
        .map(|(output, row)| product(row) + bias.map_or(0.0, |bias| f64::from(bias[output])))
        .collect()
}
