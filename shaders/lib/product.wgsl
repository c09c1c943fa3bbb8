// Params of the matrix product, as its variants share them.

struct Params {
    batch: u32,
    groups: u32,
    rows: u32,
    inputs: u32,
    outputs: u32,
    has_bias: u32,           // 0 or 1
    activation: u32,         // 0 for none, 1 for GELU, 2 for tanh, 3 for ReLU
    has_residual: u32,       // 0 or 1
    x_offset: u32,           // offsets and strides are in elements
    x_batch_stride: u32,
    x_group_stride: u32,
    x_row_stride: u32,
    x_input_stride: u32,
    w_offset: u32,
    w_batch_stride: u32,
    w_group_stride: u32,
    w_output_stride: u32,
    w_input_stride: u32,
    bias_offset: u32,
    bias_batch_stride: u32,
    bias_group_stride: u32,
    bias_row_stride: u32,
    residual_offset: u32,
    residual_batch_stride: u32,
    residual_group_stride: u32,
    residual_row_stride: u32,
    y_offset: u32,
    y_batch_stride: u32,
    y_group_stride: u32,
    y_row_stride: u32,
    product_scale: f32,
    bias_scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;

// The tile of results that a workgroup has.
struct Tile {
    batch: u32,
    group: u32,
    first_row: u32,
    first_output: u32,
}

// Workgroups are numbered ((batch * groups + group) * row_tiles + row_tile) * output_tiles + output_tile, with `rows` x `outputs` in a tile.
fn tile_of(number: u32, rows: u32, outputs: u32) -> Tile {
    let output_tiles = (p.outputs + outputs - 1u) / outputs;
    let row_tiles = (p.rows + rows - 1u) / rows;
    let group = number / output_tiles / row_tiles;
    return Tile(group / p.groups, group % p.groups, number / output_tiles % row_tiles * rows, number % output_tiles * outputs);
}
