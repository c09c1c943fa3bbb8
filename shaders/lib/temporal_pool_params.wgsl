// Params of temporal pooling, as its variants share them.

struct Params {
    batch: u32,
    heads: u32,
    rows: u32,
    frames: u32,
    width: u32,              // numbers pooled for one head
    a_offset: u32,           // offsets and strides are in elements; a: weights
    a_batch_stride: u32,
    a_head_stride: u32,
    a_row_stride: u32,
    t_offset: u32,           // t: trajectory tokens
    t_batch_stride: u32,
    t_row_stride: u32,
    t_frame_stride: u32,
    t_head_stride: u32,
    out_offset: u32,
    out_batch_stride: u32,
    out_row_stride: u32,
    out_head_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
