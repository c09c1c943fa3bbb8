// Matrix product with optional bias, GELU and residual: tiles in workgroup memory, large register blocks, for GPUs.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// An invocation computes a block of up to 8 x 8 results, so that four vectors from workgroup memory feed 64 multiply-adds. Slices of
// 16 inputs are staged as [input][row] and [input][output]. Each invocation brings one block of 4 x 4 elements, transposed in registers if
// needed, and loads the next slice's block before it multiplies this one. Loops index the outermost dimension of an array alone, so that
// addresses and bounds checks are computed once for 256 multiply-adds.
//
// Banks: an input's rows begin at the same bank, and neighbouring invocations store four inputs each four apart; so vector v of inputs
// 4 q to 4 q + 3 lies at v ^ 2 q. Drivers read vectors half a subgroup at a time where two neighbours read the same; so the lowest bit of
// an invocation's index chooses the row, the next ones the output.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup of 16 x 16
// invocations makes a tile of ROWS x OUTPUTS.
// Limits: inputs, outputs, offsets and strides are multiples of four, rows of x without gaps, w without gaps in one direction; 256
// invocations, 16 KiB of workgroup memory.
// Constants: W_ACROSS (1 if outputs follow each other in w, 0 if inputs do), ROW_VEC4S and OUTPUT_VEC4S (1 or 2: vectors of rows and of
// outputs that an invocation has).
//! use grid, product, product_vectors, blocks

const ROWS: u32 = 64u * ROW_VEC4S;
const OUTPUTS: u32 = 64u * OUTPUT_VEC4S;
const X_LANES: u32 = ROWS;                   // invocations that bring x: 4 x 4 of the tile's elements each; the next ones bring w
const W_LANES: u32 = OUTPUTS;

// [input / 4][input % 4][vector / 16][(vector % 16) ^ 2 (input / 4)]
var<workgroup> x_tile: array<array<array<array<vec4<f32>, 16>, ROW_VEC4S>, 4>, 4>;
var<workgroup> w_tile: array<array<array<array<vec4<f32>, 16>, OUTPUT_VEC4S>, 4>, 4>;

// Results of the invocation's first and second four rows, first and second four outputs: a column a row, a component an output.
var<private> sum00: mat4x4<f32>;
var<private> sum01: mat4x4<f32>;
var<private> sum10: mat4x4<f32>;
var<private> sum11: mat4x4<f32>;

// The block that an invocation brings: offsets of its vectors, distance to the next slice, and position in the tile.
struct Block {
    at: vec4<u32>,
    step: u32,
    quad: u32,
    vector: u32,
}

fn block_of(lane: u32, origin: Origin) -> Block {
    let quad = lane % 4u;
    if (lane < X_LANES) {
        let rows = min(vec4<u32>(origin.first_row + lane / 4u * 4u) + NEXT4, vec4<u32>(p.rows - 1u));
        return Block(rows * (p.x.stride.z / 4u) + origin.x + quad, 4u, quad, lane / 4u);
    }
    let vector = (lane - X_LANES) / 4u;
    if (W_ACROSS == 1u) {
        let output = min(origin.first_output + vector * 4u, p.outputs - 4u);
        let inputs = vec4<u32>(quad * 4u) + NEXT4;
        return Block(inputs * (p.w.stride.w / 4u) + origin.w + output / 4u, 4u * p.w.stride.w, quad, vector);
    }
    let outputs = min(vec4<u32>(origin.first_output + vector * 4u) + NEXT4, vec4<u32>(p.outputs - 1u));
    return Block(outputs * (p.w.stride.z / 4u) + origin.w + quad, 4u, quad, vector);
}

// The block's elements in the slice that begins with `first_input`: a column an input. Zero beyond the inputs.
fn load(lane: u32, block: Block, at: vec4<u32>, first_input: u32) -> mat4x4<f32> {
    if (first_input + 4u * block.quad >= p.inputs) {
        return mat4x4<f32>();
    }
    if (lane < X_LANES) {
        return transpose(x_columns(at));
    }
    if (lane < X_LANES + W_LANES) {
        let elements = w_columns(at);
        if (W_ACROSS == 1u) {
            return elements;
        }
        return transpose(elements);
    }
    return mat4x4<f32>();
}

fn stage(lane: u32, block: Block, elements: mat4x4<f32>) {
    let half = block.vector / 16u;
    let slot = (block.vector % 16u) ^ (2u * block.quad);
    if (lane < X_LANES) {
        x_tile[block.quad][0][half][slot] = elements[0];
        x_tile[block.quad][1][half][slot] = elements[1];
        x_tile[block.quad][2][half][slot] = elements[2];
        x_tile[block.quad][3][half][slot] = elements[3];
    } else if (lane < X_LANES + W_LANES) {
        w_tile[block.quad][0][half][slot] = elements[0];
        w_tile[block.quad][1][half][slot] = elements[1];
        w_tile[block.quad][2][half][slot] = elements[2];
        w_tile[block.quad][3][half][slot] = elements[3];
    }
}

// Adds the products of input 4 quad + i to the results.
fn add_input(quad: u32, i: u32, row: u32, output: u32) {
    let rows = x_tile[quad][i][0][row];
    let outputs = w_tile[quad][i][0][output];
    sum00 = add_products(sum00, rows, outputs);
    if (OUTPUT_VEC4S == 2u) {
        sum01 = add_products(sum01, rows, w_tile[quad][i][OUTPUT_VEC4S - 1u][output]);
    }
    if (ROW_VEC4S == 2u) {
        let more_rows = x_tile[quad][i][ROW_VEC4S - 1u][row];
        sum10 = add_products(sum10, more_rows, outputs);
        if (OUTPUT_VEC4S == 2u) {
            sum11 = add_products(sum11, more_rows, w_tile[quad][i][OUTPUT_VEC4S - 1u][output]);
        }
    }
}

fn store_all(origin: Origin, row: u32, output: u32) {
    epilogue_of_rows(origin, row, output, sum00);
    if (OUTPUT_VEC4S == 2u) {
        epilogue_of_rows(origin, row, output + 64u, sum01);
    }
    if (ROW_VEC4S == 2u) {
        epilogue_of_rows(origin, row + 64u, output, sum10);
        if (OUTPUT_VEC4S == 2u) {
            epilogue_of_rows(origin, row + 64u, output + 64u, sum11);
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), ROWS, OUTPUTS);
    if (tile.batch >= p.batch) {
        return;
    }
    let origin = origin_of(tile);
    let own_row = (lane & 1u) | ((lane >> 3u) & 2u) | ((lane >> 4u) & 12u);
    let own_output = ((lane >> 1u) & 7u) | ((lane >> 2u) & 8u);

    let block = block_of(lane, origin);
    var at = block.at;
    var elements = load(lane, block, at, 0u);
    for (var first_input = 0u; first_input < p.inputs; first_input += TILES_DEPTH) {
        workgroupBarrier();
        stage(lane, block, elements);
        workgroupBarrier();
        at += vec4<u32>(block.step);
        elements = load(lane, block, at, first_input + TILES_DEPTH);
        let quads = min(TILES_DEPTH, p.inputs - first_input) / 4u;
        for (var quad = 0u; quad < quads; quad++) {
            let row = own_row ^ (2u * quad);
            let output = own_output ^ (2u * quad);
            add_input(quad, 0u, row, output);
            add_input(quad, 1u, row, output);
            add_input(quad, 2u, row, output);
            add_input(quad, 3u, row, output);
        }
    }

    store_all(origin, tile.first_row + own_row * 4u, tile.first_output + own_output * 4u);
}
