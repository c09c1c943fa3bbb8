//! Reference of `shaders/select.wgsl`: some picks of every group, on the same state.
//!
//! Scores go through float32 in two parts between picks; [`super::direct::GreedySelection`] keeps them in float64.

use super::{dot, unit_factor};
use crate::params::SelectParams;

/// What scores of picked candidates are set to, and of those that cannot be compared, as in the shader.
const TAKEN: f32 = 3e38;
const UNKNOWN: f32 = 2e38;

/// Inputs: candidates, ids, starts; output: state. See [`SelectParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], state: &mut [f32]) {
    let p: SelectParams = bytemuck::pod_read_unaligned(params);
    let &[candidates, ids, starts] = inputs else { return };
    for group in 0..p.groups {
        let candidates = &candidates[(p.x_offset + group * p.x_group_stride) as usize..];
        let ids = &ids[(p.ids_offset + group * p.ids_group_stride) as usize..];
        let state = &mut state[(p.state_offset + group * p.state_group_stride) as usize..];
        let mut place = starts[(p.starts_offset + group) as usize] as usize;
        if let Some(last) = p.first_pick.checked_sub(1) {
            let bests = &state[best_start(&p, last)..][..3 * p.tiles as usize];
            place = bests.chunks(3).min_by(|a, b| score(a).total_cmp(&score(b))).map_or(0, |best| best[2] as usize);
        }
        for pick in p.first_pick..p.first_pick + p.picks {
            state[p.ahead_of_picks() as usize + pick as usize] = ids[place];
            place = one_pick(&p, candidates, state, pick, place);
        }
    }
}

fn score(parts: &[f32]) -> f64 {
    f64::from(parts[0]) + f64::from(parts[1])
}

fn best_start(p: &SelectParams, pick: u32) -> usize {
    (3 * p.rows + pick % 2 * 3 * p.tiles) as usize
}

/// Updates all scores for the pick at `place`; the place of the next.
fn one_pick(p: &SelectParams, candidates: &[f32], state: &mut [f32], pick: u32, place: usize) -> usize {
    let rows = p.rows as usize;
    let row = |place: usize| -> Vec<f32> {
        (0..p.size as usize).map(|column| candidates[column / 4 * 4 * rows + place * 4 + column % 4]).collect()
    };
    let factor = |row: &[f32]| if p.normalised == 0 { 1.0 } else { unit_factor(dot(row, row)) };
    let picked = row(place);
    for candidate in 0..rows {
        let before = if pick == 0 { [0.0; 2] } else { [state[candidate], state[rows + candidate]] };
        let own = row(candidate);
        if pick == 0 {
            let square = dot(&own, &own);
            state[2 * rows + candidate] = if p.normalised == 0 || square == 0.0 { 0.0 } else { (square - 1.0) as f32 };
        }
        let like = (dot(&own, &picked) * factor(&own) * factor(&picked)).abs();
        let after = match () {
            () if candidate == place => [TAKEN, 0.0],
            () if before[0] >= UNKNOWN => before,
            () if like.is_nan() => [UNKNOWN, 0.0],
            () => {
                let whole = (like * f64::from(p.grains_per_unit)).round_ties_even() * f64::from(p.grain);
                let rest = like - whole;
                match p.largest {
                    0 => [(f64::from(before[0]) + whole) as f32, (f64::from(before[1]) + rest) as f32],
                    _ if like > score(&before) => [whole as f32, rest as f32],
                    _ => before,
                }
            }
        };
        (state[candidate], state[rows + candidate]) = (after[0], after[1]);
    }
    let in_tile = p.rows.div_ceil(p.tiles) as usize;
    let mut best = (f64::INFINITY, place);
    for tile in 0..p.tiles as usize {
        let own = (tile * in_tile).min(rows)..((tile + 1) * in_tile).min(rows);
        let scores = own.map(|place| (f64::from(state[place]) + f64::from(state[rows + place]), place));
        let Some(found) = scores.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let parts = [state[found.1], state[rows + found.1], found.1 as f32];
        state[best_start(p, pick) + 3 * tile..][..3].copy_from_slice(&parts);
        if found.0 < best.0 {
            best = found;
        }
    }
    best.1
}
