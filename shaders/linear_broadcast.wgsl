// Matrix product with optional bias, GELU and residual: large register blocks, rows broadcast within a subgroup.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// On a CPU driver a load costs as much as dozens of multiply-adds, because it runs lane by lane; a broadcast costs about as much as one. So no
// element is loaded twice: each invocation loads four columns of w and every eighth of the block's 64 rows; the other invocations get rows
// by broadcast. No workgroup memory, no barrier.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup is one subgroup of
// LANES invocations and makes 64 rows of 4 * LANES outputs, an invocation 64 rows of 4.
// Limits: inputs, outputs, offsets and strides are multiples of four, rows of x without gaps, w without gaps in one direction; LANES at
// least 8. If a driver runs the workgroup as subgroups of another size, a plain loop computes the tile.
// Constants: LANES, W_ACROSS (1 if outputs follow each other in w, 0 if inputs do).
//! use grid, product, product_vectors, broadcast

// The same without subgroup operations.
fn one_by_one(origin: Origin, output: u32) {
    for (var row = origin.first_row; row < origin.first_row + BROADCAST_ROWS; row++) {
        plain_product(origin, row, output);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), BROADCAST_ROWS, 4u * LANES);
    if (tile.batch >= p.batch) {
        return;
    }
    let origin = origin_of(tile);
    let output = origin.first_output + 4u * lane;
    let known_output = min(output, p.outputs - 4u);
    if (subgroup_size != LANES) {
        one_by_one(origin, output);
        return;
    }
    let row0 = origin.x + min(origin.first_row + 0u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row1 = origin.x + min(origin.first_row + 8u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row2 = origin.x + min(origin.first_row + 16u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row3 = origin.x + min(origin.first_row + 24u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row4 = origin.x + min(origin.first_row + 32u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row5 = origin.x + min(origin.first_row + 40u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row6 = origin.x + min(origin.first_row + 48u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    let row7 = origin.x + min(origin.first_row + 56u + lane % 8u, p.rows - 1u) * (p.x.stride.z / 4u);
    var sum0 = mat4x4<f32>();
    var sum1 = mat4x4<f32>();
    var sum2 = mat4x4<f32>();
    var sum3 = mat4x4<f32>();
    var sum4 = mat4x4<f32>();
    var sum5 = mat4x4<f32>();
    var sum6 = mat4x4<f32>();
    var sum7 = mat4x4<f32>();
    var sum8 = mat4x4<f32>();
    var sum9 = mat4x4<f32>();
    var sum10 = mat4x4<f32>();
    var sum11 = mat4x4<f32>();
    var sum12 = mat4x4<f32>();
    var sum13 = mat4x4<f32>();
    var sum14 = mat4x4<f32>();
    var sum15 = mat4x4<f32>();
    // Bottom-tested: software drivers run the body of a top-tested loop once more, masked.
    var input = 0u;
    loop {
        let weights = load_w(origin.w, known_output, input);
        let at = input / 4u;
        let x0 = vec4<f32>(x[row0 + at]);
        sum0 += weights * first_four(x0);
        sum1 += weights * next_four(x0);
        let x1 = vec4<f32>(x[row1 + at]);
        sum2 += weights * first_four(x1);
        sum3 += weights * next_four(x1);
        let x2 = vec4<f32>(x[row2 + at]);
        sum4 += weights * first_four(x2);
        sum5 += weights * next_four(x2);
        let x3 = vec4<f32>(x[row3 + at]);
        sum6 += weights * first_four(x3);
        sum7 += weights * next_four(x3);
        let x4 = vec4<f32>(x[row4 + at]);
        sum8 += weights * first_four(x4);
        sum9 += weights * next_four(x4);
        let x5 = vec4<f32>(x[row5 + at]);
        sum10 += weights * first_four(x5);
        sum11 += weights * next_four(x5);
        let x6 = vec4<f32>(x[row6 + at]);
        sum12 += weights * first_four(x6);
        sum13 += weights * next_four(x6);
        let x7 = vec4<f32>(x[row7 + at]);
        sum14 += weights * first_four(x7);
        sum15 += weights * next_four(x7);
        continuing {
            input += 4u;
            break if input >= p.inputs;
        }
    }
    epilogue_of_rows(origin, origin.first_row + 0u, output, sum0);
    epilogue_of_rows(origin, origin.first_row + 4u, output, sum1);
    epilogue_of_rows(origin, origin.first_row + 8u, output, sum2);
    epilogue_of_rows(origin, origin.first_row + 12u, output, sum3);
    epilogue_of_rows(origin, origin.first_row + 16u, output, sum4);
    epilogue_of_rows(origin, origin.first_row + 20u, output, sum5);
    epilogue_of_rows(origin, origin.first_row + 24u, output, sum6);
    epilogue_of_rows(origin, origin.first_row + 28u, output, sum7);
    epilogue_of_rows(origin, origin.first_row + 32u, output, sum8);
    epilogue_of_rows(origin, origin.first_row + 36u, output, sum9);
    epilogue_of_rows(origin, origin.first_row + 40u, output, sum10);
    epilogue_of_rows(origin, origin.first_row + 44u, output, sum11);
    epilogue_of_rows(origin, origin.first_row + 48u, output, sum12);
    epilogue_of_rows(origin, origin.first_row + 52u, output, sum13);
    epilogue_of_rows(origin, origin.first_row + 56u, output, sum14);
    epilogue_of_rows(origin, origin.first_row + 60u, output, sum15);
}
