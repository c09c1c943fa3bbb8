// Attention weights of all queries, written out: softmax rows over one segment of keys a group.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// For few keys, such as prototypes, whose weights are small and used by several products. Scores are kept in two parts (lib/score.wgsl) and
// computed twice: once for their peak and total, once to write weights that are final.
//
// Grid: workgroups numbered ((batch * groups + g) * heads + h) * row_tiles + tile; one takes 64 rows, one invocation a row. Limits: head
// size 1 to 128, all loop turns of an invocation at most 61,440; 8.1 KiB of workgroup memory, no optional feature.

struct Params {
    batch: u32,
    heads: u32,
    groups: u32,
    rows: u32,
    keys: u32,
    head_size: u32,
    scale: f32,
    q_offset: u32,           // offsets and strides are in elements
    q_batch_stride: u32,
    q_head_stride: u32,
    q_group_stride: u32,
    q_row_stride: u32,
    k_offset: u32,
    k_batch_stride: u32,
    k_head_stride: u32,
    k_group_stride: u32,
    k_row_stride: u32,
    out_offset: u32,
    out_batch_stride: u32,
    out_head_stride: u32,
    out_group_stride: u32,
    out_row_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> queries: array<StoredQueries>;
@group(0) @binding(2) var<storage, read> keys: array<StoredKeys>;
@group(0) @binding(3) var<storage, read_write> weights: array<StoredWeights>;

const ROWS: u32 = 64u;

struct Work {
    batch: u32,
    head: u32,
    group: u32,
}

fn key_start(work: Work, key: u32) -> u32 {
    return p.k_offset + work.batch * p.k_batch_stride + work.head * p.k_head_stride + work.group * p.k_group_stride
        + key * p.k_row_stride;
}

// Stages a tile of keys. All invocations have to call.
fn stage_tile(work: Work, lane: u32, first: u32) {
    workgroupBarrier();
    stage_keys(work, lane, first, p.keys);
    workgroupBarrier();
    measure_keys(lane);
    workgroupBarrier();
}

fn store(start: u32, key: u32, exists: bool, weight: f32) {
    if (exists && key < p.keys) {
        weights[start + key] = StoredWeights(weight);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let head = number / row_tiles;
    let group = head / p.heads;
    let work = Work(group / p.groups, head % p.heads, group % p.groups);
    if (work.batch >= p.batch) {
        return;
    }
    let row = (number % row_tiles) * ROWS + lane;
    let outer = work.batch * p.q_batch_stride + work.head * p.q_head_stride + work.group * p.q_group_stride;
    let q_unit = take_query(p.q_offset + outer + row * p.q_row_stride, row < p.rows);

    var peak = Score(LOWEST, 0.0);
    var total = 0.0;
    for (var first = 0u; first < p.keys; first += KEYS_PER_TILE) {
        stage_tile(work, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.keys, first + j) - (first + j);
            let four = four_scores(j, q_unit);
            let new_peak = higher_of_four(peak, four, left);
            total = total * exp(abs(p.scale) * excess(peak, new_peak)) + sum_of(four_weights(four, new_peak, left));
            peak = new_peak;
        }
    }

    let out = p.out_offset + work.batch * p.out_batch_stride + work.head * p.out_head_stride + work.group * p.out_group_stride
        + row * p.out_row_stride;
    for (var first = 0u; first < p.keys; first += KEYS_PER_TILE) {
        stage_tile(work, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.keys, first + j) - (first + j);
            let four = four_weights(four_scores(j, q_unit), peak, left) / total;
            store(out, first + j, row < p.rows, four.x);
            store(out, first + j + 1u, row < p.rows, four.y);
            store(out, first + j + 2u, row < p.rows, four.z);
            store(out, first + j + 3u, row < p.rows, four.w);
        }
    }
}
