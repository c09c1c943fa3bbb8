// Means of consecutive tokens in patch-major order: the landmarks of Nystrom attention.
//
//   means[b,h,g,r,:] = mean of the tokens t of segment r,   token t = s * frames + f is patch s of frame f
//
// Where segments do not divide the tokens, the last ones have one token more.
//
// Grid: one invocation an element, numbered (((b * heads + h) * groups + g) * segments + r) * size + column, 64 in a workgroup.
// Needs no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let column = number % p.size;
    let segment = number / p.size % p.segments;
    let group = number / p.size / p.segments;
    let head = group / p.groups;
    let batch = head / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let start = x_at(batch, head % p.heads, group % p.groups, 0u, 0u) + column;
    let tokens = p.frames * p.patches;
    let short_length = tokens / p.segments;
    let short_segments = p.segments - tokens % p.segments;
    let longer = max(segment, short_segments) - short_segments;
    let first = segment * short_length + longer;
    let length = short_length + u32(segment >= short_segments);
    var sum = 0.0;
    for (var token = first; token < first + length; token++) {
        sum += x[start + (token % p.frames) * p.x.stride.w + (token / p.frames) * p.x.inner];
    }
    means[means_at(batch, head % p.heads, group % p.groups, segment) + column] = sum / f32(length);
}
