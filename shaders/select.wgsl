// Greedy selection: some picks of every group, each the candidate that is least like those picked before.
//
//   pick[0] = start,   pick[r] = argmin_i score_r(i) over candidates not yet picked
//   score_r(i) = sum_{j<r} |x_i . x_pick[j]|   or   max_{j<r} |x_i . x_pick[j]|
//
// Ties go to the lowest place. A score is kept as a multiple of a power of two (`grain`) and a remainder: sums of the first are exact,
// those of the second 2^13 times smaller than the scores. Rows scaled to length one are off by a rounding that would add up over the picks: how
// far a row's square is from one is found once, and taken off its likenesses. What cannot be compared (NaN) is picked last.
//
// Grid: workgroups numbered g * tiles + tile; those of a group share its candidates. With one tile, a dispatch makes many picks, one
// after the other; with several, one: the tiles' best candidates of the last pick are in `state`, and every tile finds the best of them.
// State of a group: coarse scores [rows], fine scores [rows], squares less one [rows], best candidates [2][tiles][coarse, fine, place],
// picks [total_picks].
// Limits: candidates of 16 to 128 numbers in whole vectors, all loop turns of an invocation at most 61,440; no optional feature.
//! use grid, square, best

struct Params {
    groups: u32,
    rows: u32,               // candidates
    size: u32,               // a multiple of 16
    total_picks: u32,
    first_pick: u32,
    picks: u32,
    tiles: u32,
    largest: u32,            // 0: sum, 1: max
    normalised: u32,         // 1: candidates have length one, or zero
    grain: f32,
    grains_per_unit: f32,
    x_offset: u32,           // offsets and strides are in elements
    x_group_stride: u32,
    ids_offset: u32,
    ids_group_stride: u32,
    starts_offset: u32,
    state_offset: u32,
    state_group_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> candidates: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> ids: array<f32>;
@group(0) @binding(3) var<storage, read> starts: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;

const TAKEN: f32 = 3e38;
const UNKNOWN: f32 = 2e38;
const LARGEST: f32 = 1e38;

var<workgroup> pick_vector: array<vec4<f32>, 32>;

// Where the best candidates lie that were found with pick `pick` as the last one.
fn best_start(group_state: u32, pick: u32) -> u32 {
    return group_state + 3u * p.rows + (pick % 2u) * 3u * p.tiles;
}

// The place of pick `pick`, from what all tiles have found.
fn find_pick(group_state: u32, pick: u32, lane: u32) -> u32 {
    var own = Best(TAKEN, 0.0, p.rows - 1u);
    let start = best_start(group_state, pick - 1u);
    for (var tile = lane; tile < p.tiles; tile += 64u) {
        let at = start + 3u * tile;
        own = better(Best(state[at], state[at + 1u], u32(state[at + 2u])), own);
    }
    return workgroup_best(lane, own).place;
}

// How far a square is from one; zero for rows of length zero, and for rows as they are.
fn excess_of(square: vec2<f32>) -> f32 {
    if (p.normalised == 0u || square.x == 0.0) {
        return 0.0;
    }
    return less_one(square);
}

fn square_of_candidate(x_start: u32, place: u32) -> f32 {
    var square = vec2<f32>();
    for (var i = 0u; i < p.size / 4u; i += 4u) {
        let at = x_start + i * p.rows + place;
        square = add_square(add_square(square, candidates[at]), candidates[at + p.rows]);
        square = add_square(add_square(square, candidates[at + 2u * p.rows]), candidates[at + 3u * p.rows]);
    }
    return excess_of(square);
}

fn square_of_pick() -> f32 {
    var square = vec2<f32>();
    for (var i = 0u; i < p.size / 4u; i += 4u) {
        square = add_square(add_square(square, pick_vector[i]), pick_vector[i + 1u]);
        square = add_square(add_square(square, pick_vector[i + 2u]), pick_vector[i + 3u]);
    }
    return excess_of(square);
}

fn likeness(x_start: u32, place: u32) -> f32 {
    var products = vec4<f32>();
    for (var i = 0u; i < p.size / 4u; i += 4u) {
        let at = x_start + i * p.rows + place;
        products += candidates[at] * pick_vector[i] + candidates[at + p.rows] * pick_vector[i + 1u]
            + candidates[at + 2u * p.rows] * pick_vector[i + 2u] + candidates[at + 3u * p.rows] * pick_vector[i + 3u];
    }
    return abs((products.x + products.y) + (products.z + products.w));
}

// A score after one more pick, whose likeness is given, and by which part of itself that is too large.
fn updated(coarse: f32, fine: f32, like: f32, excess: f32) -> vec2<f32> {
    if (!(like <= LARGEST)) {
        return vec2<f32>(UNKNOWN, 0.0);
    }
    var whole = like;
    // Beyond 2^23 grains every number is a multiple of one.
    if (like < 8388608.0 * p.grain) {
        whole = round(like * p.grains_per_unit) * p.grain;
    }
    let rest = (like - whole) - like * excess;
    if (p.largest == 0u) {
        return vec2<f32>(min(coarse + whole, LARGEST), fine + rest);
    }
    if ((whole - coarse) + (rest - fine) > 0.0) {
        return vec2<f32>(whole, rest);
    }
    return vec2<f32>(coarse, fine);
}

// Updates the scores of the workgroup's candidates for the pick at `place`, and finds the best of an invocation's own.
fn update_scores(group: u32, group_state: u32, tile: u32, lane: u32, first: bool, place: u32) -> Best {
    let x_start = (p.x_offset + group * p.x_group_stride) / 4u;
    let in_tile = (p.rows + p.tiles - 1u) / p.tiles;
    let end = min((tile + 1u) * in_tile, p.rows);
    let pick_square = square_of_pick();
    var own = Best(TAKEN, 0.0, p.rows - 1u);
    for (var candidate = tile * in_tile + lane; candidate < end; candidate += 64u) {
        let at = group_state + candidate;
        var score = vec2<f32>();
        if (first) {
            state[at + 2u * p.rows] = square_of_candidate(x_start, candidate);
        } else {
            score = vec2<f32>(state[at], state[at + p.rows]);
        }
        if (candidate == place) {
            score = vec2<f32>(TAKEN, 0.0);
        }
        if (score.x < UNKNOWN) {
            let excess = 0.5 * (pick_square + state[at + 2u * p.rows]);
            score = updated(score.x, score.y, likeness(x_start, candidate), excess);
        }
        state[at] = score.x;
        state[at + p.rows] = score.y;
        own = better(Best(score.x, score.y, candidate), own);
    }
    return own;
}

@compute @workgroup_size(64)
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
    let group_state = p.state_offset + group * p.state_group_stride;
    var place = u32(starts[p.starts_offset + group]);
    if (p.first_pick > 0u) {
        place = find_pick(group_state, p.first_pick, lane);
    }
    for (var pick = p.first_pick; pick < p.first_pick + p.picks; pick++) {
        place = min(place, p.rows - 1u);
        if (tile == 0u && lane == 0u) {
            state[group_state + 3u * p.rows + 6u * p.tiles + pick] = ids[p.ids_offset + group * p.ids_group_stride + place];
        }
        if (lane < p.size / 4u) {
            pick_vector[lane] = candidates[(p.x_offset + group * p.x_group_stride) / 4u + lane * p.rows + place];
        }
        workgroupBarrier();
        let found = workgroup_best(lane, update_scores(group, group_state, tile, lane, pick == 0u, place));
        place = found.place;
        if (lane == 0u) {
            let at = best_start(group_state, pick) + 3u * tile;
            state[at] = found.coarse;
            state[at + 1u] = found.fine;
            state[at + 2u] = f32(found.place);
        }
    }
}
