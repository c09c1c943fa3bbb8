// Attention weights of all queries as its versions share them: params, and where the operands of a workgroup lie.
//
// Workgroups are numbered ((batch * groups + g) * heads + h) * row_tiles + tile, with ROWS rows in a tile.

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

// Which part of the work a workgroup has.
struct Work {
    batch: u32,
    head: u32,
    group: u32,
    first_row: u32,
}

fn work_of(number: u32) -> Work {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let head = number / row_tiles;
    let group = head / p.heads;
    return Work(group / p.groups, head % p.heads, group % p.groups, (number % row_tiles) * ROWS);
}

fn query_start(work: Work, row: u32) -> u32 {
    return p.q_offset + work.batch * p.q_batch_stride + work.head * p.q_head_stride + work.group * p.q_group_stride
        + row * p.q_row_stride;
}

fn key_start(work: Work, key: u32) -> u32 {
    return p.k_offset + work.batch * p.k_batch_stride + work.head * p.k_head_stride + work.group * p.k_group_stride
        + key * p.k_row_stride;
}

fn weight_start(work: Work, row: u32) -> u32 {
    return p.out_offset + work.batch * p.out_batch_stride + work.head * p.out_head_stride + work.group * p.out_group_stride
        + row * p.out_row_stride;
}
