// Attention by features: each query's features against the sums of its keys' features, segment by segment.
//
//   tokens[b,h,r,f,:] = sum_m queries[b,h,r,m] key_values[b,h,f,m,:] / sum_m queries[b,h,r,m] key_sums[b,h,f,m]
//
// where key_values[m,:] = sum_j features_m(k_j) v_j and key_sums[m] = sum_j features_m(k_j).
//
// Grid: workgroups numbered ((b * heads + h) * segments + f) * row_tiles + tile; one takes 64 rows, one invocation a row. Limits: value size 1 to
// 128; at most 8.1 KiB of workgroup memory, no optional feature.
// Prelude: VALUE_VECTORS (value size in vec4, rounded up to a multiple of four), FEATURES_PER_TILE (features staged at a time).
//! use grid

var<workgroup> value_tile: array<vec4<f32>, FEATURES_PER_TILE * VALUE_VECTORS>;
var<workgroup> sum_tile: array<f32, FEATURES_PER_TILE>;

var<private> sum: array<vec4<f32>, VALUE_VECTORS>;

fn value_element(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.value_size) {
        return key_values[start + column * p.key_values.inner];
    }
    return 0.0;
}

fn stage(value_start: u32, sum_start: u32, lane: u32, first: u32) {
    for (var slot = lane; slot < FEATURES_PER_TILE * VALUE_VECTORS; slot += WORKGROUP) {
        let feature = first + slot / VALUE_VECTORS;
        let start = value_start + feature * p.key_values.stride.w;
        let column = (slot % VALUE_VECTORS) * 4u;
        let exists = feature < p.features;
        value_tile[slot] = vec4<f32>(
            value_element(start, column, exists),
            value_element(start, column + 1u, exists),
            value_element(start, column + 2u, exists),
            value_element(start, column + 3u, exists),
        );
    }
    if (lane < FEATURES_PER_TILE) {
        sum_tile[lane] = 0.0;
        if (first + lane < p.features) {
            sum_tile[lane] = key_sums[sum_start + first + lane];
        }
    }
}

fn store_element(start: u32, column: u32, element: f32) {
    if (column < p.value_size) {
        tokens[start + column] = element;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row_tiles = (p.rows + WORKGROUP - 1u) / WORKGROUP;
    let row = (number % row_tiles) * WORKGROUP + lane;
    let segment = number / row_tiles % p.segments;
    let head = number / row_tiles / p.segments % p.heads;
    let batch = number / row_tiles / p.segments / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let query_start = queries_at(batch, head, row);
    let value_start = key_values_at(batch, head, segment, 0u, 0u);
    let sum_start = key_sums_at(batch, head, segment);
    var row_sum = 0.0;
    for (var first = 0u; first < p.features; first += FEATURES_PER_TILE) {
        workgroupBarrier();
        stage(value_start, sum_start, lane, first);
        workgroupBarrier();
        for (var i = 0u; i < FEATURES_PER_TILE; i++) {
            var weight = 0.0;
            if (row < p.rows && first + i < p.features) {
                weight = queries[query_start + first + i];
            }
            row_sum += weight * sum_tile[i];
            let at = i * VALUE_VECTORS;
            for (var j = 0u; j < VALUE_VECTORS; j += 4u) {
                sum[j] += weight * value_tile[at + j];
                sum[j + 1u] += weight * value_tile[at + j + 1u];
                sum[j + 2u] += weight * value_tile[at + j + 2u];
                sum[j + 3u] += weight * value_tile[at + j + 3u];
            }
        }
    }
    if (row < p.rows) {
        let to = tokens_at(batch, head, row, segment);
        for (var j = 0u; j < VALUE_VECTORS; j++) {
            let token = sum[j] / row_sum;
            store_element(to, j * 4u, token.x);
            store_element(to, j * 4u + 1u, token.y);
            store_element(to, j * 4u + 2u, token.z);
            store_element(to, j * 4u + 3u, token.w);
        }
    }
}
