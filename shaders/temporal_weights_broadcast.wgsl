// Temporal weights: along every trajectory a softmax over the frames; heads broadcast within a subgroup.
//
//   weights[b,h,r,f] = softmax_f(scale * queries[b,r,h,:] . tokens[b,r,f,:])
//
// An invocation has a frame, and loads the projected query of every eighth head; the others get it by broadcast. So no element of a
// query row's queries and tokens is loaded twice (for up to 16 heads).
//
// Grid: workgroups numbered b * rows + r; a workgroup is one subgroup of LANES invocations. Limits: width, offsets and strides of queries
// and tokens are multiples of four; LANES at least 8. If a driver runs the workgroup as subgroups of another size, a plain loop computes the
// scores. Prelude: LANES.
//! use grid, temporal_softmax, broadcast
//! vec4 queries, tokens

const HEADS: u32 = 16u;      // at a time

fn store_score(start: u32, head: u32, frame: u32, score: f32) {
    if (head < p.heads && frame < p.frames) {
        weights[start + head * p.weights.stride.y + frame] = p.scale * score;
    }
}

fn store_scores(start: u32, head: u32, frame: u32, scores: vec4<f32>) {
    store_score(start, head, frame, scores.x);
    store_score(start, head + 1u, frame, scores.y);
    store_score(start, head + 2u, frame, scores.z);
    store_score(start, head + 3u, frame, scores.w);
}

// Offset, in vectors, of a head's query; the last head's beyond the end.
fn query_of(start: u32, head: u32) -> u32 {
    return (start + min(head, p.heads - 1u) * p.queries.stride.z) / 4u;
}

// Scores of this invocation's frame with 16 heads from `first`.
fn score_heads(q_start: u32, out_start: u32, token: u32, frame: u32, first: u32, lane: u32) {
    let low = query_of(q_start, first + lane % 8u);
    let high = query_of(q_start, first + 8u + lane % 8u);
    var scores0 = vec4<f32>();
    var scores1 = vec4<f32>();
    var scores2 = vec4<f32>();
    var scores3 = vec4<f32>();
    var i = 0u;
    loop {
        let own = vec4<f32>(tokens[token + i]);
        let a = vec4<f32>(queries[low + i]);
        scores0 += own * first_four(a);
        scores1 += own * next_four(a);
        let b = vec4<f32>(queries[high + i]);
        scores2 += own * first_four(b);
        scores3 += own * next_four(b);
        continuing {
            i++;
            break if i >= p.width / 4u;
        }
    }
    store_scores(out_start, first, frame, scores0);
    store_scores(out_start, first + 4u, frame, scores1);
    store_scores(out_start, first + 8u, frame, scores2);
    store_scores(out_start, first + 12u, frame, scores3);
}

// The same without subgroup operations.
fn score_one_by_one(q_start: u32, out_start: u32, token: u32, frame: u32) {
    for (var head = 0u; head < p.heads; head++) {
        var sum = 0.0;
        for (var i = 0u; i < p.width / 4u; i++) {
            sum += dot(vec4<f32>(tokens[token + i]), vec4<f32>(queries[query_of(q_start, head) + i]));
        }
        store_score(out_start, head, frame, sum);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
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
    for (var first_frame = 0u; first_frame < p.frames; first_frame += LANES) {
        let frame = first_frame + lane;
        let token = (t_start + min(frame, p.frames - 1u) * p.tokens.stride.z) / 4u;
        if (subgroup_size == LANES) {
            for (var first = 0u; first < p.heads; first += HEADS) {
                score_heads(q_start, out_start, token, frame, first, lane);
            }
        } else {
            score_one_by_one(q_start, out_start, token, frame);
        }
    }
    storageBarrier();
    for (var head = lane; head < p.heads; head += LANES) {
        softmax_in_place(out_start + head * p.weights.stride.y);
    }
}
