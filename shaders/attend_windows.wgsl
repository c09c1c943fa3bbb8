// Attention within windows of a grid of tokens, shifted or not (Swin), streaming.
//
//   tokens[b,h,n,:] = sum_m softmax_m(scale * queries[b,h,n,:] . keys[b,h,m,:] + table[n - m, h] + mask(n, m)) values[b,h,m,:]
//
// over the places m of n's window (lib/windows.wgsl): padded places are keys like all others, but no queries. The table has a bias for each head and
// each offset between two places of a window; the mask is -100 between places that the shift has brought together, else 0.
// Windows are cut by indexing, nothing is copied. Scores never reach memory, as in attend.wgsl; biases go to their fine parts (lib/score.wgsl).
//
// Grid: see lib/windows.wgsl; one workgroup takes 64 places of a window, one invocation a place. Limits: head and value size 1 to 128, a scale that
// is not zero, 16 KiB of workgroup memory, no optional feature; places of a window so that all loop iterations of an invocation are at most 61,440.
// Prelude: HEAD_VECTORS and VALUE_VECTORS (sizes in vec4, rounded up to multiples of four), KEYS_PER_TILE (8 or 16).
//! use grid, constants, score, windows, key_tile, value_tile

const ROWS: u32 = WORKGROUP;

fn key_start(work: Work, place: u32) -> u32 {
    return key_of_token(work, token_of(work, place));
}

fn value_start(work: Work, place: u32) -> u32 {
    return value_of_token(work, token_of(work, place));
}

var<workgroup> key_places: array<Place, KEYS_PER_TILE>;

fn stage_places(work: Work, lane: u32, first: u32) {
    if (lane < KEYS_PER_TILE) {
        key_places[lane] = place_of(work, min(first + lane, window_places() - 1u));
    }
}

// The score of the query at `own` with the staged key j, its bias and its mask. `middle` is the number of no offset.
fn biased(score: Score, own: Place, middle: u32, j: u32, head: u32) -> Score {
    let key = key_places[j];
    let bias = f32(table[table_at(middle + own.number - key.number) + head]);
    let mask = select(MASK, 0.0, own.region == key.region);
    return Score(score.coarse, score.fine + (bias + mask) / abs(p.scale));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = work_of(workgroup_number(workgroup, grid));
    if (work.batch >= p.batch) {
        return;
    }
    let total_keys = window_places();
    let row = min(work.first_row + lane, total_keys - 1u);
    let own = place_of(work, row);
    let token = token_of(work, row);
    let exists = work.first_row + lane < total_keys && token != PADDING;
    let q_unit = take_query(query_start(work, token), exists);
    let middle = table_number(p.table_frames * p.table_rows * p.table_columns - 1u);
    let scale = abs(p.scale);
    var row_max = Score(LOWEST, 0.0);
    var row_sum = 0.0;
    for (var first = 0u; first < total_keys; first += KEYS_PER_TILE) {
        workgroupBarrier();
        stage_keys(work, lane, first, total_keys);
        stage_values(work, lane, first, total_keys);
        stage_places(work, lane, first);
        workgroupBarrier();
        measure_keys(lane);
        workgroupBarrier();

        let left = total_keys - first;
        var scores: array<FourScores, KEYS_PER_TILE / 4u>;
        var new_max = row_max;
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let plain = four_scores(j, q_unit);
            let four = FourScores(
                biased(plain.a, own, middle, j, work.head),
                biased(plain.b, own, middle, j + 1u, work.head),
                biased(plain.c, own, middle, j + 2u, work.head),
                biased(plain.d, own, middle, j + 3u, work.head),
            );
            scores[j / 4u] = four;
            new_max = higher_of_four(new_max, four, max(left, j) - j);
        }
        let correction = exp(scale * excess(row_max, new_max));
        row_max = new_max;
        row_sum *= correction;
        shrink_sum(correction);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let real = four_weights(scores[j / 4u], row_max, max(left, j) - j);
            row_sum += sum_of(real);
            add_four_values(j, real);
        }
    }

    if (exists) {
        store_token(token_start(work, token), row_sum);
    }
}
