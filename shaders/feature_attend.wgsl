// Attention by features: each query's features against the sums of its keys' features, segment by segment.
//
//   tokens[b,h,r,f,:] = sum_m queries[b,h,r,m] key_values[b,h,f,m,:] / sum_m queries[b,h,r,m] key_sums[b,h,f,m]
//
// where key_values[m,:] = sum_j features_m(k_j) v_j and key_sums[m] = sum_j features_m(k_j).
//
// Grid: workgroups numbered ((b * heads + h) * segments + f) * row_tiles + tile; one takes 64 rows, one invocation a row. Limits: value
// size 1 to 128, all loop turns of an invocation at most 61,440; at most 8.1 KiB of workgroup memory, no optional feature.
// Prelude: VALUE_VECTORS (value size in vec4, rounded up to a multiple of four).
//! use grid

struct Params {
    batch: u32,
    heads: u32,
    rows: u32,
    segments: u32,
    features: u32,
    value_size: u32,
    q_offset: u32,           // offsets and strides are in elements
    q_batch_stride: u32,
    q_head_stride: u32,
    q_row_stride: u32,
    kv_offset: u32,
    kv_batch_stride: u32,
    kv_head_stride: u32,
    kv_segment_stride: u32,
    kv_feature_stride: u32,
    kv_value_stride: u32,
    k_offset: u32,
    k_batch_stride: u32,
    k_head_stride: u32,
    k_segment_stride: u32,
    out_offset: u32,
    out_batch_stride: u32,
    out_head_stride: u32,
    out_row_stride: u32,
    out_segment_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> key_values: array<f32>;
@group(0) @binding(3) var<storage, read> key_sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> tokens: array<f32>;

const FEATURES: u32 = 16u;   // staged at a time

var<workgroup> value_tile: array<vec4<f32>, FEATURES * VALUE_VECTORS>;
var<workgroup> sum_tile: array<f32, FEATURES>;

var<private> sum: array<vec4<f32>, VALUE_VECTORS>;

fn value_number(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.value_size) {
        return key_values[start + column * p.kv_value_stride];
    }
    return 0.0;
}

fn stage(kv_start: u32, k_start: u32, lane: u32, first: u32) {
    for (var slot = lane; slot < FEATURES * VALUE_VECTORS; slot += 64u) {
        let feature = first + slot / VALUE_VECTORS;
        let start = kv_start + feature * p.kv_feature_stride;
        let column = (slot % VALUE_VECTORS) * 4u;
        let exists = feature < p.features;
        value_tile[slot] = vec4<f32>(
            value_number(start, column, exists),
            value_number(start, column + 1u, exists),
            value_number(start, column + 2u, exists),
            value_number(start, column + 3u, exists),
        );
    }
    if (lane < FEATURES) {
        sum_tile[lane] = 0.0;
        if (first + lane < p.features) {
            sum_tile[lane] = key_sums[k_start + first + lane];
        }
    }
}

fn store_number(start: u32, column: u32, number: f32) {
    if (column < p.value_size) {
        tokens[start + column] = number;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row_tiles = (p.rows + 63u) / 64u;
    let row = (number % row_tiles) * 64u + lane;
    let segment = number / row_tiles % p.segments;
    let head = number / row_tiles / p.segments % p.heads;
    let batch = number / row_tiles / p.segments / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let q_start = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + row * p.q_row_stride;
    let kv_start = p.kv_offset + batch * p.kv_batch_stride + head * p.kv_head_stride + segment * p.kv_segment_stride;
    let k_start = p.k_offset + batch * p.k_batch_stride + head * p.k_head_stride + segment * p.k_segment_stride;
    var total = 0.0;
    for (var first = 0u; first < p.features; first += FEATURES) {
        workgroupBarrier();
        stage(kv_start, k_start, lane, first);
        workgroupBarrier();
        for (var i = 0u; i < FEATURES; i++) {
            var weight = 0.0;
            if (row < p.rows && first + i < p.features) {
                weight = queries[q_start + first + i];
            }
            total += weight * sum_tile[i];
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
        let out = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + row * p.out_row_stride
            + segment * p.out_segment_stride;
        for (var j = 0u; j < VALUE_VECTORS; j++) {
            let token = sum[j] / total;
            store_number(out, j * 4u, token.x);
            store_number(out, j * 4u + 1u, token.y);
            store_number(out, j * 4u + 2u, token.z);
            store_number(out, j * 4u + 3u, token.w);
        }
    }
}
