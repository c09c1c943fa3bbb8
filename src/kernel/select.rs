//! Greedy selection: some picks of every group.
//!
//! Scores go through float32 in two parts between picks; [`GreedySelection`](crate::reference::direct::GreedySelection) keeps them in float64.

use super::arithmetic::{dot, unit_factor};
use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_CANDIDATES, MAX_HEAD_SIZE};

const WORKGROUP: u32 = 64;
/// Elements of the state for a candidate: its score's coarse and fine part, and its square less one.
const CANDIDATE_STATE: u32 = 3;
/// Elements of the state for a tile's best candidate, which is kept for the last two picks: its score's coarse and fine part, and its index.
const BEST_STATE: u32 = 3;
/// Scores of picked candidates, and of those with NaN, as in the shader.
const TAKEN: f32 = 3e38;
const UNKNOWN: f32 = 2e38;

kernel! {
    /// Greedy selection (`select`): picks `first_pick .. first_pick + picks` of every group, each the candidate of least similarity
    /// to the earlier ones.
    Select, SelectParams, "select", |p|
    sizes {
        /// Groups.
        groups,
        /// Candidates of a group.
        rows "candidates" <= MAX_CANDIDATES,
        /// Blocks of four columns; a multiple of four, those of zeros included.
        blocks,
    }
    given {
        /// Workgroups that share a group's candidates.
        tiles,
        /// Picks that the whole selection makes.
        total_picks "prototypes" <= p.rows,
        /// Picks of this dispatch; one if there are several tiles.
        picks "picks of a dispatch" <= if p.tiles > 1 { 1 } else { p.total_picks.saturating_sub(p.first_pick) },
    }
    checks {
        "candidate size": p.size() => MAX_HEAD_SIZE,
        "whole vectors + 1": p.size() % 16 + 1 => 1,
    }
    values {
        /// First pick of this dispatch.
        first_pick: u32,
        /// 0: a candidate's score is the sum of its similarities to the picks; 1: the largest of them.
        largest: u32,
        /// 1 if candidates have length one, or zero.
        normalised: u32,
        /// Scores are kept as a multiple of this power of two, and a remainder.
        grain: f32,
        /// One over that.
        grains_per_unit: f32,
    }
    read candidates {
        /// Candidates in blocks of four columns; offset and strides are multiples of four.
        candidates: [groups, blocks, rows; 4],
    }
    read ids {
        /// The candidates' indices, integers as float32.
        ids: [groups; rows],
    }
    read starts {
        /// The first pick, an index among the candidates.
        starts: [groups; 1],
    }
    write state {
        /// Scores, their remainders, squares less one, the best of each tile after the last two picks, and the picks.
        state: [groups; (p.ahead_of_picks() + u64::from(p.total_picks))],
    }
    shared {
        CANDIDATE_STATE: CANDIDATE_STATE,
        BEST_STATE: BEST_STATE,
        MAX_BLOCKS: MAX_HEAD_SIZE / 4,
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.groups, p.tiles]),
    multiply_adds: count(&[p.groups, p.rows, p.size(), p.picks]),
    iterations: iterations(p),
    accesses_in_range: false,
    reference: reference,
}

impl SelectParams {
    /// Elements of a group's state ahead of the picks.
    pub(crate) fn ahead_of_picks(&self) -> u64 {
        count(&[CANDIDATE_STATE, self.rows]) + count(&[2 * BEST_STATE, self.tiles])
    }

    /// Elements of a candidate.
    fn size(&self) -> u32 {
        self.blocks.saturating_mul(4)
    }

    /// Offset of the best candidates after `pick`.
    fn best_start(&self, pick: u32) -> usize {
        (CANDIDATE_STATE * self.rows + pick % 2 * BEST_STATE * self.tiles) as usize
    }

    /// A candidate's elements.
    fn candidate(&self, candidates: &[f32], group: u32, number: u32) -> Vec<f32> {
        (0..self.blocks).flat_map(|block| self.candidates.row(candidates, &[group, block, number], 4)).copied().collect()
    }
}

fn iterations(p: &SelectParams) -> u64 {
    let candidates = u64::from(p.rows.div_ceil(p.tiles.max(1)).div_ceil(WORKGROUP));
    let row = looped(u64::from(p.blocks / 4), 0);
    // The first pick also squares every candidate; a skipped loop still counts as an iteration.
    let first = if p.first_pick == 0 { looped(candidates, row) } else { 0 };
    let scores = looped(candidates, row + 1) + row;
    first + looped(p.picks.into(), scores + looped(6, 0)) + looped(p.tiles.div_ceil(WORKGROUP).into(), 0) + looped(6, 0)
}

/// Inputs: candidates, ids, starts; output: state.
fn reference(p: &SelectParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[candidates, ids, starts] = inputs else { return };
    let ahead_of_picks = p.ahead_of_picks() as usize;
    for group in 0..p.groups {
        let all: Vec<Vec<f32>> = (0..p.rows).map(|number| p.candidate(candidates, group, number)).collect();
        let ids = p.ids.row(ids, &[group], p.rows);
        let state = p.state.row_mut(output, &[group], ahead_of_picks as u32 + p.total_picks);
        let mut picked = starts[p.starts.at(&[group])] as usize;
        if let Some(last) = p.first_pick.checked_sub(1) {
            let bests = &state[p.best_start(last)..][..(BEST_STATE * p.tiles) as usize];
            let bests = bests.chunks(BEST_STATE as usize);
            picked = bests.min_by(|a, b| score(a).total_cmp(&score(b))).map_or(0, |best| best[2] as usize);
        }
        for pick in p.first_pick..p.first_pick + p.picks {
            state[ahead_of_picks + pick as usize] = ids[picked];
            update_scores(p, &all, state, pick, picked);
            picked = find_bests(p, state, pick).unwrap_or(picked);
        }
    }
}

fn score(parts: &[f32]) -> f64 {
    f64::from(parts[0]) + f64::from(parts[1])
}

/// Updates all scores for one more pick.
fn update_scores(p: &SelectParams, candidates: &[Vec<f32>], state: &mut [f32], pick: u32, picked: usize) {
    let rows = candidates.len();
    let factor = |row: &[f32]| if p.normalised == 0 { 1.0 } else { unit_factor(dot(row, row)) };
    let last = &candidates[picked];
    for (number, own) in candidates.iter().enumerate() {
        let before = if pick == 0 { [0.0; 2] } else { [state[number], state[rows + number]] };
        if pick == 0 {
            let square = dot(own, own);
            state[2 * rows + number] = if p.normalised == 0 || square == 0.0 { 0.0 } else { (square - 1.0) as f32 };
        }
        let similarity = (dot(own, last) * factor(own) * factor(last)).abs();
        let after = if number == picked {
            [TAKEN, 0.0]
        } else if before[0] >= UNKNOWN {
            before
        } else if similarity.is_nan() {
            [UNKNOWN, 0.0]
        } else {
            updated(p, before, similarity)
        };
        (state[number], state[rows + number]) = (after[0], after[1]);
    }
}

/// A score's coarse and fine part after one more pick.
fn updated(p: &SelectParams, before: [f32; 2], similarity: f64) -> [f32; 2] {
    let whole = (similarity * f64::from(p.grains_per_unit)).round_ties_even() * f64::from(p.grain);
    let rest = similarity - whole;
    match p.largest {
        0 => [(f64::from(before[0]) + whole) as f32, (f64::from(before[1]) + rest) as f32],
        _ if similarity > score(&before) => [whole as f32, rest as f32],
        _ => before,
    }
}

/// Writes the best candidate of every tile. Returns the best of them.
fn find_bests(p: &SelectParams, state: &mut [f32], pick: u32) -> Option<usize> {
    let rows = p.rows as usize;
    let in_tile = p.rows.div_ceil(p.tiles) as usize;
    let mut best: Option<(f64, usize)> = None;
    for tile in 0..p.tiles as usize {
        let own = (tile * in_tile).min(rows)..((tile + 1) * in_tile).min(rows);
        let scores = own.map(|number| (score(&[state[number], state[rows + number]]), number));
        let Some(found) = scores.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let parts = [state[found.1], state[rows + found.1], found.1 as f32];
        state[p.best_start(pick) + BEST_STATE as usize * tile..][..parts.len()].copy_from_slice(&parts);
        if found.0 < best.map_or(f64::INFINITY, |(least, _)| least) {
            best = Some(found);
        }
    }
    best.map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_are_what_strides_by_hand_are() {
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // 16 columns of seven candidates, of which five are picked by two tiles. All groups share the candidates' indices.
        let request = Select {
            candidates: of(0, &[3, 4, 7, 4]).index(3, 0),
            ids: of(1, &[7]),
            starts: of(2, &[3]),
            state: of(3, &[3, 3 * 7 + 6 * 2 + 5]),
            tiles: 2,
            total_picks: 5,
            picks: 1,
            first_pick: 2,
            largest: 1,
            normalised: 1,
            grain: 0.5,
            grains_per_unit: 2.0,
        };
        let (params, bindings) = request.place().expect("they fit");
        let by_hand = SelectParams {
            candidates: BoundView::new(0, &[112, 28, 4]),
            starts: BoundView::new(0, &[1]),
            state: BoundView::new(0, &[38]),
            groups: 3,
            rows: 7,
            blocks: 4,
            tiles: 2,
            total_picks: 5,
            picks: 1,
            first_pick: 2,
            largest: 1,
            normalised: 1,
            grain: 0.5,
            grains_per_unit: 2.0,
            ..SelectParams::default()
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
        let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), ends);
        assert_eq!(ends, [336, 7, 3, 114]);
    }
}
