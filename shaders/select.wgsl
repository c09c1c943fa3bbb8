// Greedy selection: some picks of every group, each the candidate of least similarity to the earlier picks.
//
//   pick[0] = start,   pick[r] = argmin_i score_r(i) over candidates not yet picked
//   score_r(i) = sum_{j<r} |x_i . x_pick[j]|   or   max_{j<r} |x_i . x_pick[j]|
//
// Ties go to the lowest candidate. A score is kept as a multiple of a power of two (`grain`) and a remainder: sums of the first are exact,
// those of the second 2^13 times smaller than the scores. Rows scaled to length one have a rounding error that would add up over the picks:
// the excess of a row's square over one is found once, and subtracted from its similarities. Candidates with NaN are picked last.
//
// Grid: workgroups numbered g * tiles + tile; those of a group share its candidates. With one tile, a dispatch makes many picks in sequence.
// With several it makes one: `state` has the tiles' best candidates of the last pick, and every tile finds the best of them.
// State of a group: coarse scores [rows], fine scores [rows], squares less one [rows], best candidates [2][tiles][coarse, fine, index],
// picks [total_picks].
// Limits: candidates of 16 to 256 elements, a multiple of 16; no optional feature.
//! use grid, square, best
//! vec4 candidates

const TAKEN: f32 = 3e38;
const UNKNOWN: f32 = 2e38;
const LARGEST: f32 = 1e38;

var<workgroup> pick_vector: array<vec4<f32>, MAX_BLOCKS>;

// Offset of the best candidates after pick `pick`.
fn best_start(group_state: u32, pick: u32) -> u32 {
    return group_state + CANDIDATE_STATE * p.rows + (pick % 2u) * BEST_STATE * p.tiles;
}

// The candidate that pick `pick` is: the best of all tiles'.
fn find_pick(group_state: u32, pick: u32, lane: u32) -> u32 {
    var own = Best(TAKEN, 0.0, p.rows - 1u);
    let start = best_start(group_state, pick - 1u);
    for (var tile = lane; tile < p.tiles; tile += WORKGROUP) {
        let at = start + BEST_STATE * tile;
        own = better(Best(state[at], state[at + 1u], u32(state[at + 2u])), own);
    }
    return workgroup_best(lane, own).index;
}

// The excess of a square over one; zero for rows of length zero, and for rows that are not normalised.
fn excess_of(square: vec2<f32>) -> f32 {
    if (p.normalised == 0u || square.x == 0.0) {
        return 0.0;
    }
    return less_one(square);
}

// Of the candidate that begins at vector `start` and whose blocks are `across` vectors apart.
fn square_of_candidate(start: u32, across: u32) -> f32 {
    var square = vec2<f32>();
    for (var i = 0u; i < p.blocks; i += 4u) {
        let at = start + i * across;
        square = add_square(add_square(square, candidates[at]), candidates[at + across]);
        square = add_square(add_square(square, candidates[at + 2u * across]), candidates[at + 3u * across]);
    }
    return excess_of(square);
}

fn square_of_pick() -> f32 {
    var square = vec2<f32>();
    for (var i = 0u; i < p.blocks; i += 4u) {
        square = add_square(add_square(square, pick_vector[i]), pick_vector[i + 1u]);
        square = add_square(add_square(square, pick_vector[i + 2u]), pick_vector[i + 3u]);
    }
    return excess_of(square);
}

// The similarity of the pick and the candidate that begins at vector `start`.
fn similarity(start: u32, across: u32) -> f32 {
    var products = vec4<f32>();
    for (var i = 0u; i < p.blocks; i += 4u) {
        let at = start + i * across;
        products += candidates[at] * pick_vector[i] + candidates[at + across] * pick_vector[i + 1u]
            + candidates[at + 2u * across] * pick_vector[i + 2u] + candidates[at + 3u * across] * pick_vector[i + 3u];
    }
    return abs((products.x + products.y) + (products.z + products.w));
}

// A score after one more pick, from its similarity and the relative excess of that.
fn updated(coarse: f32, fine: f32, similarity: f32, excess: f32) -> vec2<f32> {
    if (!(similarity <= LARGEST)) {
        return vec2<f32>(UNKNOWN, 0.0);
    }
    var whole = similarity;
    // Beyond 2^23 grains every float32 is a multiple of one.
    if (similarity < 8388608.0 * p.grain) {
        whole = round(similarity * p.grains_per_unit) * p.grain;
    }
    let rest = (similarity - whole) - similarity * excess;
    if (p.largest == 0u) {
        return vec2<f32>(min(coarse + whole, LARGEST), fine + rest);
    }
    if ((whole - coarse) + (rest - fine) > 0.0) {
        return vec2<f32>(whole, rest);
    }
    return vec2<f32>(coarse, fine);
}

// Updates the scores of the workgroup's candidates for a pick. Returns the best of the invocation's own.
fn update_scores(group: u32, group_state: u32, tile: u32, lane: u32, first: bool, picked: u32) -> Best {
    let group_start = candidates_at(group, 0u, 0u) / 4u;
    let across = p.candidates.stride.y / 4u;
    let step = p.candidates.stride.z / 4u;
    let in_tile = (p.rows + p.tiles - 1u) / p.tiles;
    let end = min((tile + 1u) * in_tile, p.rows);
    let pick_square = square_of_pick();
    var own = Best(TAKEN, 0.0, p.rows - 1u);
    for (var candidate = tile * in_tile + lane; candidate < end; candidate += WORKGROUP) {
        let at = group_state + candidate;
        let start = group_start + candidate * step;
        var score = vec2<f32>();
        if (first) {
            state[at + 2u * p.rows] = square_of_candidate(start, across);
        } else {
            score = vec2<f32>(state[at], state[at + p.rows]);
        }
        if (candidate == picked) {
            score = vec2<f32>(TAKEN, 0.0);
        }
        if (score.x < UNKNOWN) {
            let excess = 0.5 * (pick_square + state[at + 2u * p.rows]);
            score = updated(score.x, score.y, similarity(start, across), excess);
        }
        state[at] = score.x;
        state[at + p.rows] = score.y;
        own = better(Best(score.x, score.y, candidate), own);
    }
    return own;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let group = number / p.tiles;
    let tile = number % p.tiles;
    if (group >= p.groups) {
        return;
    }
    let group_state = state_at(group);
    let picks = group_state + CANDIDATE_STATE * p.rows + 2u * BEST_STATE * p.tiles;
    var picked = u32(starts[starts_at(group)]);
    if (p.first_pick > 0u) {
        picked = find_pick(group_state, p.first_pick, lane);
    }
    for (var pick = p.first_pick; pick < p.first_pick + p.picks; pick++) {
        picked = min(picked, p.rows - 1u);
        if (tile == 0u && lane == 0u) {
            state[picks + pick] = ids[ids_at(group) + picked];
        }
        if (lane < p.blocks) {
            pick_vector[lane] = candidates[candidates_at(group, lane, picked) / 4u];
        }
        workgroupBarrier();
        let found = workgroup_best(lane, update_scores(group, group_state, tile, lane, pick == 0u, picked));
        picked = found.index;
        if (lane == 0u) {
            let at = best_start(group_state, pick) + BEST_STATE * tile;
            state[at] = found.coarse;
            state[at + 1u] = found.fine;
            state[at + 2u] = f32(found.index);
        }
    }
}
