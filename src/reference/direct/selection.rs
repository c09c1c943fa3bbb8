//! Greedy selection in one go, its scores in float64.
//!
//! Start at a given row, then add `argmin_i score_i` over rows not yet taken, with `score_i = sum_j |<x_i, p_j>|` (Patrick et al., NeurIPS 2021,
//! algorithm 1) or `max_j |<x_i, p_j>|` (their published code) over the picks `p_j` so far. Ties go to the lowest row.

use crate::kernel::Select;
use crate::kernel::arithmetic::{dot, unit_factor};
use crate::plan::Direct;
use crate::view::View;

/// How a candidate's similarityes to the picks so far become its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// Their sum: the paper's algorithm.
    Sum,
    /// The largest: the published code.
    Max,
}

impl Criterion {
    /// A score after one more pick: not a number, once a similarity was none.
    fn add(self, score: f64, similarity: f64) -> f64 {
        match self {
            Self::Sum => score + similarity,
            // `f64::max` passes over what is not a number.
            Self::Max if similarity > score || similarity.is_nan() => similarity,
            Self::Max => score,
        }
    }
}

/// A whole selection: what the dispatches of `select` do together.
#[derive(Clone, Debug, PartialEq)]
pub struct GreedySelection {
    /// The request of the dispatches, but for the picks: of the state, only the picks are written.
    pub request: Select,
}

impl Direct for GreedySelection {
    fn run(&self, buffers: &mut [Vec<f32>]) {
        let Select { candidates, ids, starts, state, .. } = &self.request;
        let element = |buffers: &[Vec<f32>], view: &View, index: &[u64]| buffers[view.buffer().index()][view.at(index)];
        let (blocks, rows) = (candidates.size(1), candidates.size(2));
        let picks = u64::from(self.request.total_picks);
        for group in 0..candidates.size(0) {
            let row = |row: u64| -> Vec<f64> {
                let four = |block| candidates.at(&[group, block, row]);
                let of_block = |block| buffers[candidates.buffer().index()][four(block)..][..4].iter();
                (0..blocks).flat_map(of_block).map(|&element| element.into()).collect()
            };
            let mut rows: Vec<Vec<f64>> = (0..rows).map(row).collect();
            if self.request.normalised != 0 {
                rows.iter_mut().for_each(|row| scale_to_one(row));
            }
            let start = element(buffers, starts, &[group]) as usize;
            let criterion = if self.request.largest == 0 { Criterion::Sum } else { Criterion::Max };
            // All groups may share their indices.
            let own = group.min(ids.size(0) - 1);
            let picked: Vec<f32> = greedy(&rows, picks as usize, start, criterion)
                .into_iter()
                .map(|index| element(buffers, ids, &[own, index as u64]))
                .collect();
            let at = state.at(&[group, state.size(1) - picks]);
            buffers[state.buffer().index()][at..at + picked.len()].copy_from_slice(&picked);
        }
    }
}

/// Once more: the plan's scaling rounded to float32.
fn scale_to_one(row: &mut [f64]) {
    let factor = unit_factor(row.iter().map(|value| value * value).sum());
    row.iter_mut().for_each(|value| *value *= factor);
}

/// The places of `count` picks.
fn greedy(candidates: &[Vec<f64>], count: usize, start: usize, criterion: Criterion) -> Vec<usize> {
    let mut scores = vec![0.0; candidates.len()];
    let mut taken = vec![false; candidates.len()];
    let mut picks = vec![start];
    taken[start] = true;
    while picks.len() < count {
        let picked = &candidates[picks[picks.len() - 1]];
        for (score, candidate) in scores.iter_mut().zip(candidates) {
            let similarity: f64 = candidate.iter().zip(picked).map(|(a, b)| a * b).sum();
            *score = criterion.add(*score, similarity.abs());
        }
        let free = (0..candidates.len()).filter(|&index| !taken[index]);
        let Some(best) = free.min_by(|&a, &b| f64::total_cmp(&scores[a], &scores[b])) else { break };
        taken[best] = true;
        picks.push(best);
    }
    picks
}

/// What replaying a selection along its picks shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// How far a pick's score was above the best there was, the largest over all picks; for rows that are not scaled to length one, relative to
    /// the largest of their squares, as dot products are rounded relative to those. Infinite if a pick is no candidate, is made twice, or if the first is not the start.
    pub gap: f64,
    /// How close another candidate came to the best, the smallest over all picks; infinite if there never was another.
    pub margin: f64,
}

/// Replays a selection in float64 along the picks made. `candidates [M]` are rows of equal length; without `start`, any first pick is right.
pub fn replay(candidates: &[&[f32]], normalise: bool, criterion: Criterion, start: Option<usize>, picks: &[usize]) -> Replay {
    let factor = |row: &&[f32]| if normalise { unit_factor(dot(row, row)) } else { 1.0 };
    let factors: Vec<f64> = candidates.iter().map(factor).collect();
    let largest = candidates.iter().map(|row| dot(row, row)).fold(f64::MIN_POSITIVE, f64::max);
    let unit = if normalise { 1.0 } else { largest };
    let mut taken = vec![false; candidates.len()];
    let mut scores = vec![0.0f64; candidates.len()];
    let mut found = Replay { gap: 0.0, margin: f64::INFINITY };
    for (number, &pick) in picks.iter().enumerate() {
        if taken.get(pick) != Some(&false) || (number == 0 && start.is_some_and(|start| start != pick)) {
            return Replay { gap: f64::INFINITY, ..found };
        }
        if number > 0 {
            let free = scores.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(score, _)| *score);
            let [best, second] = two_lowest(free);
            let gap = (scores[pick] - best) / unit;
            // What is not a number is above every score that is one.
            found.gap = if gap.is_nan() && best.is_finite() { f64::INFINITY } else { found.gap.max(gap) };
            found.margin = found.margin.min((second - best) / unit);
        }
        taken[pick] = true;
        for (index, score) in scores.iter_mut().enumerate() {
            let similarity = dot(candidates[index], candidates[pick]) * factors[index] * factors[pick];
            *score = criterion.add(*score, similarity.abs());
        }
    }
    found
}

fn two_lowest(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY; 2], |[lowest, second], value| match value {
        _ if value < lowest => [value, lowest],
        _ => [lowest, second.min(value)],
    })
}
