// Segmented attention as its variants share it: params, and where the operands of a workgroup lie.
//
// Workgroups are numbered (((batch * groups + g) * heads + h) * segments + f) * row_tiles + tile, with ROWS rows in a tile.

struct Params {
    batch: u32,
    heads: u32,
    groups: u32,
    rows: u32,
    segments: u32,
    keys: u32,               // of a segment, without the extra one
    extra_keys: u32,         // 0 or 1
    head_size: u32,
    value_size: u32,
    scale: f32,
    q_offset: u32,           // offsets and strides are in elements
    q_batch_stride: u32,
    q_head_stride: u32,
    q_group_stride: u32,
    q_row_stride: u32,
    k_offset: u32,
    k_extra_offset: u32,
    k_batch_stride: u32,
    k_head_stride: u32,
    k_group_stride: u32,
    k_segment_stride: u32,
    k_row_stride: u32,
    v_offset: u32,
    v_extra_offset: u32,
    v_batch_stride: u32,
    v_head_stride: u32,
    v_group_stride: u32,
    v_segment_stride: u32,
    v_row_stride: u32,
    out_offset: u32,
    out_batch_stride: u32,
    out_head_stride: u32,
    out_group_stride: u32,
    out_row_stride: u32,
    out_segment_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;

// Which part of the work a workgroup has.
struct Work {
    batch: u32,
    head: u32,
    group: u32,
    segment: u32,
    first_row: u32,
}

fn work_of(number: u32) -> Work {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let segment = number / row_tiles;
    let head = segment / p.segments;
    let group = head / p.heads;
    return Work(group / p.groups, head % p.heads, group % p.groups, segment % p.segments, (number % row_tiles) * ROWS);
}

fn query_start(work: Work, row: u32) -> u32 {
    return p.q_offset + work.batch * p.q_batch_stride + work.head * p.q_head_stride + work.group * p.q_group_stride
        + row * p.q_row_stride;
}

fn token_start(work: Work, row: u32) -> u32 {
    return p.out_offset + work.batch * p.out_batch_stride + work.head * p.out_head_stride + work.group * p.out_group_stride
        + row * p.out_row_stride + work.segment * p.out_segment_stride;
}

// Where a key (or its value) starts; the extra key comes before the segment's own.
fn key_start(work: Work, key: u32) -> u32 {
    let outer = work.batch * p.k_batch_stride + work.head * p.k_head_stride;
    if (key < p.extra_keys) {
        return p.k_extra_offset + outer;
    }
    return p.k_offset + outer + work.group * p.k_group_stride + work.segment * p.k_segment_stride
        + (key - p.extra_keys) * p.k_row_stride;
}

fn value_start(work: Work, key: u32) -> u32 {
    let outer = work.batch * p.v_batch_stride + work.head * p.v_head_stride;
    if (key < p.extra_keys) {
        return p.v_extra_offset + outer;
    }
    return p.v_offset + outer + work.group * p.v_group_stride + work.segment * p.v_segment_stride
        + (key - p.extra_keys) * p.v_row_stride;
}
