// Temporal weights in tiles, for GPUs: along every trajectory a softmax over the frames.
//
//   weights[b,h,r,f] = softmax_f(scale * queries[b,r,h,:] . tokens[b,r,f,:])
//
// Of one query row, slices of 32 elements of all its projected queries and all its tokens are staged in workgroup memory, loaded side by side;
// each invocation then multiplies up to four pairs of a head and a frame. Lines are padded by one vector, so that the lines of neighbouring
// frames begin at different banks. Four sums side by side keep the rounding error of a long dot product small.
//
// Grid: workgroups numbered b * rows + r. Limits: width, offsets and strides are multiples of four; 144 bytes of workgroup memory for each head
// and each frame. Prelude: LINES (heads and frames together), PAIRS (1 to 4: pairs of an invocation at a time).
//! use grid, temporal_softmax
//! vec4 queries, tokens

const DEPTH: u32 = 8u;           // vectors staged at a time
const PITCH: u32 = DEPTH + 1u;

// The row's queries, then its tokens.
var<workgroup> lines: array<vec4<f32>, LINES * PITCH>;

var<private> sums: array<vec4<f32>, PAIRS>;

// Stages vectors from `first` of all lines, zero beyond their width.
fn stage(q_start: u32, t_start: u32, lane: u32, first: u32) {
    for (var slot = lane; slot < LINES * DEPTH; slot += WORKGROUP) {
        let line = slot / DEPTH;
        let vector = first + slot % DEPTH;
        var elements = vec4<f32>();
        if (vector < p.width / 4u) {
            if (line < p.heads) {
                elements = vec4<f32>(queries[(q_start + line * p.queries.stride.z) / 4u + vector]);
            } else {
                elements = vec4<f32>(tokens[(t_start + (line - p.heads) * p.tokens.stride.z) / 4u + vector]);
            }
        }
        lines[line * PITCH + slot % DEPTH] = elements;
    }
}

// Adds the products of the staged vectors, for pairs from `first` on.
fn multiply(first: u32) {
    for (var i = 0u; i < PAIRS; i++) {
        let pair = min(first + i * WORKGROUP, p.heads * p.frames - 1u);
        let query = pair / p.frames * PITCH;
        let token = (p.heads + pair % p.frames) * PITCH;
        for (var vector = 0u; vector < DEPTH; vector++) {
            sums[i] += lines[query + vector] * lines[token + vector];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row = number % p.rows;
    let batch = number / p.rows;
    if (batch >= p.batch) {
        return;
    }
    let q_start = queries_at(batch, row, 0u);
    let t_start = tokens_at(batch, row, 0u);
    let out_start = weights_at(batch, 0u, row);
    for (var first = 0u; first < p.heads * p.frames; first += WORKGROUP * PAIRS) {
        for (var i = 0u; i < PAIRS; i++) {
            sums[i] = vec4<f32>();
        }
        for (var vector = 0u; vector < p.width / 4u; vector += DEPTH) {
            workgroupBarrier();
            stage(q_start, t_start, lane, vector);
            workgroupBarrier();
            multiply(first + lane);
        }
        for (var i = 0u; i < PAIRS; i++) {
            let pair = first + lane + i * WORKGROUP;
            if (pair < p.heads * p.frames) {
                let score = p.scale * ((sums[i].x + sums[i].y) + (sums[i].z + sums[i].w));
                weights[out_start + pair / p.frames * p.weights.stride.y + pair % p.frames] = score;
            }
        }
    }
    storageBarrier();
    for (var head = lane; head < p.heads; head += WORKGROUP) {
        softmax_in_place(out_start + head * p.weights.stride.y);
    }
}
