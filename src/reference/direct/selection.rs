//! Greedy selection in one go, its scores in float64.
//!
//! Start at a given row, then add `argmin_i score_i` over rows not yet taken, with `score_i = sum_j |<x_i, p_j>|` (Patrick et al., NeurIPS 2021,
//! algorithm 1) or `max_j |<x_i, p_j>|` (their published code) over the picks `p_j` so far. Ties go to the lowest row.

use super::super::{dot, part, unit_factor};
use crate::params::SelectParams;
use crate::plan::{Binding, Direct};

/// How a candidate's likenesses to the picks so far become its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// Their sum: the paper's algorithm.
    Sum,
    /// The largest: the published code.
    Max,
}

impl Criterion {
    /// A score after one more pick: not a number, once a likeness was none.
    fn add(self, score: f64, likeness: f64) -> f64 {
        match self {
            Self::Sum => score + likeness,
            // `f64::max` passes over what is not a number.
            Self::Max if likeness > score || likeness.is_nan() => likeness,
            Self::Max => score,
        }
    }
}

/// A whole selection: what the dispatches of `select` do together.
#[derive(Clone, Debug, PartialEq)]
pub struct GreedySelection {
    /// Params of the dispatches, but for the picks.
    pub params: SelectParams,
    /// Candidates, in blocks of four columns.
    pub candidates: Binding,
    /// The candidates' indices.
    pub ids: Binding,
    /// The first picks' places.
    pub starts: Binding,
    /// State; of this, only the picks are written.
    pub state: Binding,
}

impl Direct for GreedySelection {
    fn run(&self, buffers: &mut [Vec<f32>]) {
        let p = &self.params;
        let (rows, size) = (p.rows as usize, p.size as usize);
        for group in 0..p.groups {
            let blocks = &part(buffers, &self.candidates)[(p.x_offset + group * p.x_group_stride) as usize..];
            let row =
                |place: usize| (0..size).map(|column| blocks[column / 4 * 4 * rows + place * 4 + column % 4].into()).collect();
            let mut candidates: Vec<Vec<f64>> = (0..rows).map(row).collect();
            if p.normalised != 0 {
                candidates.iter_mut().for_each(|row| scale_to_one(row));
            }
            let start = part(buffers, &self.starts)[(p.starts_offset + group) as usize] as usize;
            let criterion = if p.largest == 0 { Criterion::Sum } else { Criterion::Max };
            let places = greedy(&candidates, p.total_picks as usize, start, criterion);
            let ids = &part(buffers, &self.ids)[(p.ids_offset + group * p.ids_group_stride) as usize..];
            let picks: Vec<f32> = places.into_iter().map(|place| ids[place]).collect();
            let first = u64::from(p.state_offset + group * p.state_group_stride) + p.ahead_of_picks();
            let at = (self.state.first + first) as usize;
            buffers[self.state.buffer.index()][at..at + picks.len()].copy_from_slice(&picks);
        }
    }
}

/// Once more: the plan's scaling rounded to float32.
fn scale_to_one(row: &mut [f64]) {
    let factor = unit_factor(row.iter().map(|number| number * number).sum());
    row.iter_mut().for_each(|number| *number *= factor);
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
            let likeness: f64 = candidate.iter().zip(picked).map(|(a, b)| a * b).sum();
            *score = criterion.add(*score, likeness.abs());
        }
        let free = (0..candidates.len()).filter(|&place| !taken[place]);
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
        for (place, score) in scores.iter_mut().enumerate() {
            let likeness = dot(candidates[place], candidates[pick]) * factors[place] * factors[pick];
            *score = criterion.add(*score, likeness.abs());
        }
    }
    found
}

fn two_lowest(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    numbers.fold([f64::INFINITY; 2], |[lowest, second], number| match number {
        _ if number < lowest => [number, lowest],
        _ => [lowest, second.min(number)],
    })
}
