// Segmented attention, streaming: for every query row and every segment of keys a softmax and an output of its own.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Trajectory attention has one group and a segment per frame, joint attention one group and one segment, divided attention a group
// per frame (or per place) and the class token as extra key. Scores never reach memory: keys and values are staged in tiles, and a
// running peak and total rescale what was summed before (online softmax). Scores are kept in two parts (lib/score.wgsl) and scaled last.
//
// Grid: see lib/segments.wgsl; one workgroup takes 64 rows, one invocation a row. Limits: head and value size 1 to 128, 16 KiB of
// workgroup memory, no optional feature; keys so that all loop turns of an invocation are at most 61,440 (src/extents.rs counts them).
// Prelude: HEAD_VECTORS and VALUE_VECTORS (sizes in vec4, rounded up to multiples of four), KEYS_PER_TILE (8 or 16).

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
        for (var i = 0u; i < HEAD_VECTORS; i += 4u) {
            let at = lane * HEAD_VECTORS + i;
            peak = max(peak, max(largest(key_tile[at]), largest(key_tile[at + 1u])));
            peak = max(peak, max(largest(key_tile[at + 2u]), largest(key_tile[at + 3u])));
        }
        key_unit[lane] = unit_of(peak);
    }
}

// The invocation's query in units, its coarse part, and what it has summed up of the values.
var<private> query: array<vec4<f32>, HEAD_VECTORS>;
var<private> coarse_query: array<vec4<f32>, HEAD_VECTORS>;
var<private> sum: array<vec4<f32>, VALUE_VECTORS>;

// Takes the query in; its unit. The scale's sign goes with it: peaks stay peaks.
fn take_query(start: u32, exists: bool) -> f32 {
    var peak = 0.0;
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = load_query(start, i * 4u, exists);
        peak = max(peak, largest(query[i]));
    }
    let unit = unit_of(peak);
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = query[i] * (sign(p.scale) * inverse_of(unit));
        coarse_query[i] = round(query[i]);
    }
    return unit;
}

// Adds the products of four vectors from i of the staged key j.
fn add_four(products: Products, i: u32, j: u32, per_unit: f32) -> Products {
    let at = j * HEAD_VECTORS + i;
    var added = add_product(products, query[i], coarse_query[i], key_tile[at] * per_unit);
    added = add_product(added, query[i + 1u], coarse_query[i + 1u], key_tile[at + 1u] * per_unit);
    added = add_product(added, query[i + 2u], coarse_query[i + 2u], key_tile[at + 2u] * per_unit);
    return add_product(added, query[i + 3u], coarse_query[i + 3u], key_tile[at + 3u] * per_unit);
}

// Adds vector i of four staged values from j, each times its weight.
fn add_values(i: u32, j: u32, weights: vec4<f32>) {
    let at = j * VALUE_VECTORS + i;
    sum[i] += weights.x * value_tile[at] + weights.y * value_tile[at + VALUE_VECTORS]
        + weights.z * value_tile[at + 2u * VALUE_VECTORS] + weights.w * value_tile[at + 3u * VALUE_VECTORS];
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
    let q_unit = take_query(query_start(work, row), row < p.rows);
    let scale = abs(p.scale);
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

        // Four keys a turn: drivers count turns, and a query vector is used four times.
        var scores: array<Score, KEYS_PER_TILE>;
        var new_peak = peak;
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let units = vec4<f32>(key_unit[j], key_unit[j + 1u], key_unit[j + 2u], key_unit[j + 3u]);
            var a = Products();
            var b = Products();
            var c = Products();
            var d = Products();
            for (var i = 0u; i < HEAD_VECTORS; i += 4u) {
                a = add_four(a, i, j, inverse_of(units.x));
                b = add_four(b, i, j + 1u, inverse_of(units.y));
                c = add_four(c, i, j + 2u, inverse_of(units.z));
                d = add_four(d, i, j + 3u, inverse_of(units.w));
            }
            scores[j] = score_of(a, units.x * q_unit);
            scores[j + 1u] = score_of(b, units.y * q_unit);
            scores[j + 2u] = score_of(c, units.z * q_unit);
            scores[j + 3u] = score_of(d, units.w * q_unit);
            let left = total_keys - first;
            new_peak = higher(new_peak, known(scores[j], j < left));
            new_peak = higher(new_peak, known(scores[j + 1u], j + 1u < left));
            new_peak = higher(new_peak, known(scores[j + 2u], j + 2u < left));
            new_peak = higher(new_peak, known(scores[j + 3u], j + 3u < left));
        }
        let shrink = exp(scale * excess(peak, new_peak));
        peak = new_peak;
        total_weight *= shrink;
        for (var i = 0u; i < VALUE_VECTORS; i += 4u) {
            sum[i] *= shrink;
            sum[i + 1u] *= shrink;
            sum[i + 2u] *= shrink;
            sum[i + 3u] *= shrink;
        }
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let weights = vec4<f32>(
                exp(scale * excess(scores[j], peak)),
                exp(scale * excess(scores[j + 1u], peak)),
                exp(scale * excess(scores[j + 2u], peak)),
                exp(scale * excess(scores[j + 3u], peak)),
            );
            let places = vec4<u32>(first + j) + vec4<u32>(0u, 1u, 2u, 3u);
            let real = select(vec4<f32>(), weights, places < vec4<u32>(total_keys));
            total_weight += sum_of(real);
            for (var i = 0u; i < VALUE_VECTORS; i += 4u) {
                add_values(i, j, real);
                add_values(i + 1u, j, real);
                add_values(i + 2u, j, real);
                add_values(i + 3u, j, real);
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
