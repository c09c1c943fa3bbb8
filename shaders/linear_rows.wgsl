// Matrix product of few rows with optional bias, activation and residual: each weight is read once.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// Blocks of many rows would be empty but for a few, and weights are all the traffic. An invocation takes four outputs of all rows, and the inputs of
// its part; invocations that follow each other read vectors that do. The parts are summed in workgroup memory.
//
// Grid: workgroups numbered (b * groups + g) * output_tiles + output_tile; a workgroup of 64 invocations makes ROWS x OUTPUTS results.
// Limits: inputs, outputs, offsets and strides of x and w are multiples of four, rows of x without gaps, w without gaps in one direction; 1 to 8
// rows; 1 KiB of workgroup memory a row; no optional feature.
// Prelude: ROWS (1 to 8), W_ACROSS (1 if outputs follow each other in w, 0 if inputs do).
//! use grid, product, product_elements
//! vec4 x, w

// Vectors of outputs of a workgroup, and parts of the inputs.
const QUADS: u32 = select(4u, 16u, W_ACROSS == 1u);
const PARTS: u32 = WORKGROUP / QUADS;
const OUTPUTS: u32 = 4u * QUADS;

var<workgroup> sums: array<array<vec4<f32>, WORKGROUP>, ROWS>;

// Neighbours share what follows in w: outputs or inputs.
fn lane_of(part: u32, quad: u32) -> u32 {
    return select(quad * PARTS + part, part * QUADS + quad, W_ACROSS == 1u);
}

fn columns_at(at: u32, stride: u32) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(w[at]), vec4<f32>(w[at + stride]), vec4<f32>(w[at + 2u * stride]), vec4<f32>(w[at + 3u * stride]));
}

// Four inputs from `input` of four outputs from `output`: a column an input, a component an output.
fn load_w(base: u32, output: u32, input: u32) -> mat4x4<f32> {
    if (W_ACROSS == 1u) {
        return columns_at(base + (output + input * p.w.stride.w) / 4u, p.w.stride.w / 4u);
    }
    return transpose(columns_at(base + (output * p.w.stride.z + input) / 4u, p.w.stride.z / 4u));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), ROWS, OUTPUTS);
    if (tile.batch >= p.batch) {
        return;
    }
    let quad = select(lane / PARTS, lane % QUADS, W_ACROSS == 1u);
    let part = select(lane % PARTS, lane / QUADS, W_ACROSS == 1u);
    // The last outputs again beyond the end.
    let output = min(tile.first_output + 4u * quad, p.outputs - 4u);
    let w_base = w_at(tile.batch, tile.group, 0u, 0u) / 4u;
    let x_base = x_at(tile.batch, tile.group, 0u, 0u) / 4u;
    let stride = p.x.stride.z / 4u;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var sum7 = vec4<f32>();
    for (var input = 4u * part; input < p.inputs; input += 4u * PARTS) {
        let weights = load_w(w_base, output, input);
        let at = x_base + input / 4u;
        sum0 += weights * vec4<f32>(x[at]);
        if (ROWS > 1u) { sum1 += weights * vec4<f32>(x[at + 1u * stride]); }
        if (ROWS > 2u) { sum2 += weights * vec4<f32>(x[at + 2u * stride]); }
        if (ROWS > 3u) { sum3 += weights * vec4<f32>(x[at + 3u * stride]); }
        if (ROWS > 4u) { sum4 += weights * vec4<f32>(x[at + 4u * stride]); }
        if (ROWS > 5u) { sum5 += weights * vec4<f32>(x[at + 5u * stride]); }
        if (ROWS > 6u) { sum6 += weights * vec4<f32>(x[at + 6u * stride]); }
        if (ROWS > 7u) { sum7 += weights * vec4<f32>(x[at + 7u * stride]); }
    }
    sums[0][lane] = sum0;
    if (ROWS > 1u) { sums[min(1u, ROWS - 1u)][lane] = sum1; }
    if (ROWS > 2u) { sums[min(2u, ROWS - 1u)][lane] = sum2; }
    if (ROWS > 3u) { sums[min(3u, ROWS - 1u)][lane] = sum3; }
    if (ROWS > 4u) { sums[min(4u, ROWS - 1u)][lane] = sum4; }
    if (ROWS > 5u) { sums[min(5u, ROWS - 1u)][lane] = sum5; }
    if (ROWS > 6u) { sums[min(6u, ROWS - 1u)][lane] = sum6; }
    if (ROWS > 7u) { sums[min(7u, ROWS - 1u)][lane] = sum7; }
    workgroupBarrier();
    let bases = bases_of(tile);
    for (var slot = lane; slot < ROWS * QUADS; slot += WORKGROUP) {
        let row = slot / QUADS;
        var sum = vec4<f32>();
        for (var each = 0u; each < PARTS; each++) {
            sum += sums[row][lane_of(each, slot % QUADS)];
        }
        epilogue(bases, row, tile.first_output + 4u * (slot % QUADS), sum);
    }
}
