// Deformable space-time attention: each query attends to points of its own sub-clip, a few in each frame, wherever they are.
//
//   tokens[b,h,n] = sum_{g,p} softmax_{g,p}(logits[b,h,n,g,p]) values[b,h] at (x + dx, y + dy) of frame g of the query's sub-clip
//
// with n = (f, y, x) and (dx, dy) = displacements[b,h,n,g,p], in patches. Between patches values are bilinear, outside of the grid zero.
//
// Grid: a workgroup takes four queries of a head and up to 64 elements of each, 16 invocations a query; numbered ((b * heads + h) * query_tiles +
// tile) * blocks + block. Sixteen samples at a time are looked up, one an invocation, and then summed up, four elements an invocation. Limits: no
// optional feature.
//! use grid, constants, exponential, samples

// Of 16 samples a query: offsets of their corners' values (NOWHERE outside of the grid), their shares times the sample's weight, and that weight.
var<workgroup> corner_starts: array<vec4<u32>, WORKGROUP>;
var<workgroup> corner_weights: array<vec4<f32>, WORKGROUP>;
var<workgroup> sample_weights: array<f32, WORKGROUP>;

fn value_start(outer: u32, token: u32) -> u32 {
    return select(outer + token * p.values.stride.z, NOWHERE, token == NOWHERE);
}

// Four elements of a value. Beyond its end they repeat the last one and are not stored.
fn value_elements(start: u32, columns: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(
        f32(values[start + columns.x]),
        f32(values[start + columns.y]),
        f32(values[start + columns.z]),
        f32(values[start + columns.w]),
    );
}

// The contribution of one corner of a sample.
fn corner_part(start: u32, weight: f32, columns: vec4<u32>) -> vec4<f32> {
    if (start == NOWHERE) {
        return vec4<f32>();
    }
    return weight * value_elements(start, columns);
}

fn store_element(start: u32, column: u32, number: f32) {
    if (column < p.head_size) {
        tokens[start + column] = StoredTokens(number);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let blocks = (p.head_size + COLUMNS - 1u) / COLUMNS;
    let all_tokens = p.frames * p.grid_rows * p.grid_columns;
    let query_tiles = (all_tokens + QUERIES - 1u) / QUERIES;
    let head = number / blocks / query_tiles % p.heads;
    let batch = number / blocks / query_tiles / p.heads;
    // The same for the whole workgroup.
    if (batch >= p.batch) {
        return;
    }
    let token = number / blocks % query_tiles * QUERIES + lane / LANES;
    let exists = token < all_tokens;
    let column = number % blocks * COLUMNS + lane % LANES;
    let columns = min(column + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.head_size - 1u));
    let value_outer = values_at(batch, head, 0u);
    let displacement_start = displacements_at(batch, head, token);
    let logit_start = logits_at(batch, head, token);
    let all_samples = p.sub_clip * p.samples;
    var row_max = LOWEST;
    for (var sample = 0u; exists && sample < all_samples; sample++) {
        row_max = max(row_max, logits[logit_start + sample]);
    }
    var row_sum = 0.0;
    var sum = vec4<f32>();
    for (var first = 0u; first < all_samples; first += LANES) {
        let sample = first + lane % LANES;
        workgroupBarrier();
        sample_weights[lane] = 0.0;
        if (exists && sample < all_samples) {
            let weight = exponential(logits[logit_start + sample] - row_max);
            let at = displacement_start + sample * 2u;
            let corners = corners_of(token, sample, displacements[at], displacements[at + 1u]);
            sample_weights[lane] = weight;
            corner_weights[lane] = weight * corners.shares;
            corner_starts[lane] = vec4<u32>(
                value_start(value_outer, corners.tokens.x),
                value_start(value_outer, corners.tokens.y),
                value_start(value_outer, corners.tokens.z),
                value_start(value_outer, corners.tokens.w),
            );
        }
        workgroupBarrier();
        for (var i = 0u; exists && i < min(LANES, all_samples - first); i++) {
            let slot = lane / LANES * LANES + i;
            let weights = corner_weights[slot];
            let starts = corner_starts[slot];
            row_sum += sample_weights[slot];
            sum += (corner_part(starts.x, weights.x, columns) + corner_part(starts.y, weights.y, columns))
                + (corner_part(starts.z, weights.z, columns) + corner_part(starts.w, weights.w, columns));
        }
    }
    if (exists) {
        let start = tokens_at(batch, head, token);
        store_element(start, column, sum.x / row_sum);
        store_element(start, column + LANES, sum.y / row_sum);
        store_element(start, column + 2u * LANES, sum.z / row_sum);
        store_element(start, column + 3u * LANES, sum.w / row_sum);
    }
}
