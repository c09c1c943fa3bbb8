// Matrix product with optional bias, GELU and residual: large register blocks, read straight from memory.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// For CPU drivers without subgroups of eight. A load costs them as much as dozens of multiply-adds, whether from memory or from workgroup
// memory, and a barrier more. So every invocation computes 16 x 16 results and loads their operands itself.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup of 8 x 8 invocations
// makes a tile of 128 x 128 results. Limits: inputs, outputs, offsets and strides are multiples of four, rows of x without gaps, w
// without gaps in one direction; no optional feature. Constants: W_ACROSS (1 if outputs follow each other in w, 0 if inputs do).
//! use grid, product, product_vectors

const BLOCK: u32 = 16u;      // rows and outputs of an invocation

// Offsets, in vectors, of four rows of x; the last row again beyond the end.
fn rows_from(origin: Origin, row: u32) -> vec4<u32> {
    return origin.x + min(row + NEXT4, vec4<u32>(p.rows - 1u)) * (p.x.stride.z / 4u);
}

// Four inputs of four rows: a column a row.
fn load_x(rows: vec4<u32>, input: u32) -> mat4x4<f32> {
    return x_columns(rows + input / 4u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), BLOCKS_TILE, BLOCKS_TILE);
    if (tile.batch >= p.batch) {
        return;
    }
    let row = tile.first_row + lane / 8u * BLOCK;
    let output = tile.first_output + lane % 8u * BLOCK;
    let origin = origin_of(tile);
    let rows0 = rows_from(origin, row + 0u);
    let rows1 = rows_from(origin, row + 4u);
    let rows2 = rows_from(origin, row + 8u);
    let rows3 = rows_from(origin, row + 12u);
    let output0 = min(output + 0u, p.outputs - 4u);
    let output1 = min(output + 4u, p.outputs - 4u);
    let output2 = min(output + 8u, p.outputs - 4u);
    let output3 = min(output + 12u, p.outputs - 4u);
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums02 = mat4x4<f32>();
    var sums03 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    var sums12 = mat4x4<f32>();
    var sums13 = mat4x4<f32>();
    var sums20 = mat4x4<f32>();
    var sums21 = mat4x4<f32>();
    var sums22 = mat4x4<f32>();
    var sums23 = mat4x4<f32>();
    var sums30 = mat4x4<f32>();
    var sums31 = mat4x4<f32>();
    var sums32 = mat4x4<f32>();
    var sums33 = mat4x4<f32>();
    // Bottom-tested: software drivers run the body of a top-tested loop once more, masked.
    var input = 0u;
    loop {
        let w0 = load_w(origin.w, output0, input);
        let w1 = load_w(origin.w, output1, input);
        let w2 = load_w(origin.w, output2, input);
        let w3 = load_w(origin.w, output3, input);
        let x0 = load_x(rows0, input);
        sums00 += w0 * x0;
        sums01 += w1 * x0;
        sums02 += w2 * x0;
        sums03 += w3 * x0;
        let x1 = load_x(rows1, input);
        sums10 += w0 * x1;
        sums11 += w1 * x1;
        sums12 += w2 * x1;
        sums13 += w3 * x1;
        let x2 = load_x(rows2, input);
        sums20 += w0 * x2;
        sums21 += w1 * x2;
        sums22 += w2 * x2;
        sums23 += w3 * x2;
        let x3 = load_x(rows3, input);
        sums30 += w0 * x3;
        sums31 += w1 * x3;
        sums32 += w2 * x3;
        sums33 += w3 * x3;
        continuing {
            input += 4u;
            break if input >= p.inputs;
        }
    }
    epilogue_of_rows(origin, row + 0u, output + 0u, sums00);
    epilogue_of_rows(origin, row + 0u, output + 4u, sums01);
    epilogue_of_rows(origin, row + 0u, output + 8u, sums02);
    epilogue_of_rows(origin, row + 0u, output + 12u, sums03);
    epilogue_of_rows(origin, row + 4u, output + 0u, sums10);
    epilogue_of_rows(origin, row + 4u, output + 4u, sums11);
    epilogue_of_rows(origin, row + 4u, output + 8u, sums12);
    epilogue_of_rows(origin, row + 4u, output + 12u, sums13);
    epilogue_of_rows(origin, row + 8u, output + 0u, sums20);
    epilogue_of_rows(origin, row + 8u, output + 4u, sums21);
    epilogue_of_rows(origin, row + 8u, output + 8u, sums22);
    epilogue_of_rows(origin, row + 8u, output + 12u, sums23);
    epilogue_of_rows(origin, row + 12u, output + 0u, sums30);
    epilogue_of_rows(origin, row + 12u, output + 4u, sums31);
    epilogue_of_rows(origin, row + 12u, output + 8u, sums32);
    epilogue_of_rows(origin, row + 12u, output + 12u, sums33);
}
