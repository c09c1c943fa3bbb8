// Means of consecutive tokens in patch-major order: the landmarks of Nystrom attention.
//
//   means[b,h,g,r,:] = mean of the tokens t of segment r,   token t = s * frames + f is place s of frame f
//
// Where segments do not divide the tokens, the first `short_segments` have `short_length` tokens and the others one more.
//
// Grid: one invocation a number, numbered (((b * heads + h) * groups + g) * segments + r) * size + column, 64 in a workgroup.
// Limits: about 60,000 tokens a segment (all loop turns of an invocation at most 61,440); no optional feature.
//! use grid

struct Params {
    batch: u32,
    heads: u32,
    groups: u32,
    frames: u32,
    segments: u32,
    short_segments: u32,
    short_length: u32,
    size: u32,
    x_offset: u32,           // offsets and strides are in elements
    x_batch_stride: u32,
    x_head_stride: u32,
    x_group_stride: u32,
    x_frame_stride: u32,
    x_patch_stride: u32,
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> means: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let segment = number / p.size % p.segments;
    let group = number / p.size / p.segments;
    let head = group / p.groups;
    let batch = head / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let start = p.x_offset + batch * p.x_batch_stride + (head % p.heads) * p.x_head_stride + (group % p.groups) * p.x_group_stride
        + number % p.size;
    let longer = max(segment, p.short_segments) - p.short_segments;
    let first = segment * p.short_length + longer;
    let length = p.short_length + u32(segment >= p.short_segments);
    var sum = 0.0;
    for (var token = first; token < first + length; token++) {
        sum += x[start + (token % p.frames) * p.x_frame_stride + (token / p.frames) * p.x_patch_stride];
    }
    means[p.out_offset + number] = sum / f32(length);
}
