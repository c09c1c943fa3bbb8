//! The temporal stage in the published order: every trajectory token is projected to a key and a value.
//!
//! `own[n] = t[n, f(n)]`, `q2 = Wq own + bq`, `[k2 v2] = Wkv t + bkv`, and per head `y_n = sum_f softmax_f(q2_n . k2_{n,f} / sqrt D) v2_{n,f}`
//! (Patrick et al., NeurIPS 2021, section 3.1). The kernels project the query down and the pooled token up instead.

use crate::kernel::arithmetic::{dot, softmax};
use crate::plan::Direct;
use crate::view::View;

/// Values of the temporal stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemporalValue {
    /// `v2 = Wv t + bv`: the corrected layer.
    Projected,
    /// `v2 = t`, as in the training of the published checkpoints.
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

/// The temporal stage over a chunk of queries, with the views of its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct TemporalStage {
    /// `S`.
    pub patches: u32,
    /// First query of the chunk, as token index `n`.
    pub first_row: u32,
    /// Values *projected* or *identity*.
    pub value: TemporalValue,
    /// Softmax scale `1 / sqrt D`.
    pub scale: f32,
    /// Trajectory tokens `[batch, rows, F, C]`.
    pub tokens: View,
    /// `proj_q.weight [C, C]`.
    pub q_weight: View,
    /// `proj_q.bias [C]`.
    pub q_bias: Option<View>,
    /// `proj_kv.weight [2C, C]`: keys, then values.
    pub kv_weight: View,
    /// `proj_kv.bias [2C]`.
    pub kv_bias: Option<View>,
    /// Temporal weights `[batch, H, rows, F]`.
    pub weights: View,
    /// Results `[batch, rows, C]`.
    pub out: View,
}

impl Direct for TemporalStage {
    fn run(&self, buffers: &mut [Vec<f32>]) {
        for (batch, row) in (0..self.tokens.size(0)).flat_map(|batch| (0..self.tokens.size(1)).map(move |row| (batch, row))) {
            let (weights, result) = self.one_query(batch, row, buffers);
            for (head, weights) in weights.iter().enumerate() {
                store(buffers, &self.weights, &[batch, head as u64, row], weights);
            }
            store(buffers, &self.out, &[batch, row], &result);
        }
    }
}

impl TemporalStage {
    /// Weights per head, and the result, of one query.
    fn one_query(&self, batch: u64, row: u64, buffers: &[Vec<f32>]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let [frames, channels] = [self.tokens.size(2), self.tokens.size(3)];
        let all = |view: &View| part_of(buffers, view, &[], view.shape().iter().product());
        let trajectory: Vec<&[f32]> =
            (0..frames).map(|frame| part_of(buffers, &self.tokens, &[batch, row, frame], channels)).collect();
        let own = trajectory[((u64::from(self.first_row) + row) / u64::from(self.patches)) as usize];
        let (kv_weight, kv_bias) = (all(&self.kv_weight), self.kv_bias.as_ref().map(all));
        let query = project(all(&self.q_weight), self.q_bias.as_ref().map(all), own);
        let (key_weight, value_weight) = kv_weight.split_at((channels * channels) as usize);
        let halves = kv_bias.map(|bias| bias.split_at(channels as usize));
        let keys: Vec<Vec<f64>> =
            trajectory.iter().map(|token| project(key_weight, halves.map(|halves| halves.0), token)).collect();
        let values: Vec<Vec<f64>> = match self.value {
            TemporalValue::Projected => {
                trajectory.iter().map(|token| project(value_weight, halves.map(|halves| halves.1), token)).collect()
            }
            TemporalValue::Identity => {
                trajectory.iter().map(|token| token.iter().map(|&element| element.into()).collect()).collect()
            }
        };
        let heads = self.weights.size(1);
        let size = (channels / heads.max(1)) as usize;
        let mut weights = Vec::new();
        let mut result = vec![0.0; channels as usize];
        for head in 0..heads as usize {
            let part = head * size..(head + 1) * size;
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

/// So many elements of a view's buffer, from an index on.
fn part_of<'b>(buffers: &'b [Vec<f32>], view: &View, index: &[u64], count: u64) -> &'b [f32] {
    &buffers[view.buffer().index()][view.at(index)..][..count as usize]
}

fn store(buffers: &mut [Vec<f32>], view: &View, index: &[u64], values: &[f64]) {
    for (element, &value) in buffers[view.buffer().index()][view.at(index)..].iter_mut().zip(values) {
        *element = value as f32;
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
