// Segmented attention, streaming: for every query row and every segment of keys a softmax and an output of its own.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Trajectory attention has one group and a segment per frame, joint attention one group and one segment, divided attention a group
// per frame (or per place) and the class token as extra key. Scores never reach memory: keys and values are staged in tiles, and a
// running peak and total rescale what was summed before (online softmax). Scores are kept in two parts (lib/score.wgsl) and scaled last.
//
// Grid: see lib/segments.wgsl; one workgroup takes 64 rows, one invocation a row. Limits: head and value size 1 to 128, 16 KiB of workgroup memory, no optional feature.
// Prelude: HEAD_VECTORS and VALUE_VECTORS (sizes in vec4, rounded up), KEYS_PER_TILE.

const ROWS: u32 = 64u;

var<workgroup> key_tile: array<vec4<f32>, KEYS_PER_TILE * HEAD_VECTORS>;
var<workgroup> key_unit: array<f32, KEYS_PER_TILE>;
var<workgroup> value_tile: array<vec4<f32>, KEYS_PER_TILE * VALUE_VECTORS>;

fn key_number(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.head_size) {
        return keys[start + column];
    }
    return 0.0;
}

fn value_number(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.value_size) {
        return values[start + column];
    }
    return 0.0;
}

// Stages the keys first .. first + KEYS_PER_TILE of the segment; what lies beyond `total` or the head becomes zero.
fn stage_keys(work: Work, lane: u32, first: u32, total: u32) {
    for (var slot = lane; slot < KEYS_PER_TILE * HEAD_VECTORS; slot += ROWS) {
        let key = first + slot / HEAD_VECTORS;
        let start = key_start(work, key);
        let column = (slot % HEAD_VECTORS) * 4u;
        let exists = key < total;
        key_tile[slot] = vec4<f32>(
            key_number(start, column, exists),
            key_number(start, column + 1u, exists),
            key_number(start, column + 2u, exists),
            key_number(start, column + 3u, exists),
        );
    }
}

// The same for the values.
fn stage_values(work: Work, lane: u32, first: u32, total: u32) {
    for (var slot = lane; slot < KEYS_PER_TILE * VALUE_VECTORS; slot += ROWS) {
        let key = first + slot / VALUE_VECTORS;
        let start = value_start(work, key);
        let column = (slot % VALUE_VECTORS) * 4u;
        let exists = key < total;
        value_tile[slot] = vec4<f32>(
            value_number(start, column, exists),
            value_number(start, column + 1u, exists),
            value_number(start, column + 2u, exists),
            value_number(start, column + 3u, exists),
        );
    }
}

// Finds each staged key's unit.
fn measure_keys(lane: u32) {
    if (lane < KEYS_PER_TILE) {
        var peak = 0.0;
        for (var i = 0u; i < HEAD_VECTORS; i++) {
            peak = max(peak, largest(key_tile[lane * HEAD_VECTORS + i]));
        }
        key_unit[lane] = unit_of(peak);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = work_of(workgroup_number(workgroup, grid));
    if (work.batch >= p.batch) {
        return;
    }
    let row = work.first_row + lane;
    let q_start = query_start(work, row);
    // The query in units, and its coarse part. The scale's sign goes with it: peaks stay peaks.
    var query: array<vec4<f32>, HEAD_VECTORS>;
    var coarse_query: array<vec4<f32>, HEAD_VECTORS>;
    var q_peak = 0.0;
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = load_query(q_start, i * 4u, row < p.rows);
        q_peak = max(q_peak, largest(query[i]));
    }
    let q_unit = unit_of(q_peak);
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = query[i] * (sign(p.scale) * inverse_of(q_unit));
        coarse_query[i] = round(query[i]);
    }
    let scale = abs(p.scale);

    var sum: array<vec4<f32>, VALUE_VECTORS>;
    var peak = Score(LOWEST, 0.0);
    var total_weight = 0.0;
    let total_keys = p.keys + p.extra_keys;
    for (var first = 0u; first < total_keys; first += KEYS_PER_TILE) {
        workgroupBarrier();
        stage_keys(work, lane, first, total_keys);
        stage_values(work, lane, first, total_keys);
        workgroupBarrier();
        measure_keys(lane);
        workgroupBarrier();

        let count = min(KEYS_PER_TILE, total_keys - first);
        var scores: array<Score, KEYS_PER_TILE>;
        var new_peak = peak;
        for (var j = 0u; j < count; j++) {
            let unit = key_unit[j];
            let per_unit = inverse_of(unit);
            var coarse = vec4<f32>();
            var fine = vec4<f32>();
            for (var i = 0u; i < HEAD_VECTORS; i++) {
                let key = key_tile[j * HEAD_VECTORS + i] * per_unit;
                let coarse_key = round(key);
                coarse += coarse_query[i] * coarse_key;
                fine += coarse_query[i] * (key - coarse_key) + (query[i] - coarse_query[i]) * key;
            }
            scores[j] = Score(sum_of(coarse) * (unit * q_unit), sum_of(fine) * (unit * q_unit));
            if (excess(scores[j], new_peak) > 0.0) {
                new_peak = scores[j];
            }
        }
        let shrink = exp(scale * excess(peak, new_peak));
        peak = new_peak;
        total_weight *= shrink;
        for (var i = 0u; i < VALUE_VECTORS; i++) {
            sum[i] *= shrink;
        }
        for (var j = 0u; j < count; j++) {
            let weight = exp(scale * excess(scores[j], peak));
            total_weight += weight;
            for (var i = 0u; i < VALUE_VECTORS; i++) {
                sum[i] += weight * value_tile[j * VALUE_VECTORS + i];
            }
        }
    }

    if (row < p.rows) {
        let out_start = token_start(work, row);
        for (var i = 0u; i < VALUE_VECTORS; i++) {
            store_token(out_start, i * 4u, sum[i] / total_weight);
        }
    }
}
