// Matrix product with optional bias, activation and residual.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// There is a stride for everything, so that x and w may be used as stored or transposed, and bias may be a vector or a matrix.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup of 8 x 8
// invocations makes a tile of 32 x 32 results, an invocation 4 x 4 of them, from slices of 16 inputs in workgroup memory (4 KiB).
// Limits: all loop turns of an invocation at most 61,440 (about 45,000 inputs); no optional feature.
//! use grid, gelu, activation, product

@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(2) var<storage, read> w: array<StoredW>;
@group(0) @binding(3) var<storage, read> bias: array<StoredBias>;
@group(0) @binding(4) var<storage, read> residual: array<StoredResidual>;
@group(0) @binding(5) var<storage, read_write> y: array<StoredY>;

const TILE: u32 = 32u;       // rows and outputs of a workgroup
const DEPTH: u32 = 16u;      // inputs staged at a time

// Slices [input][row / 4] and [input][output / 4].
var<workgroup> x_tile: array<vec4<f32>, DEPTH * TILE / 4u>;
var<workgroup> w_tile: array<vec4<f32>, DEPTH * TILE / 4u>;

fn x_number(start: u32, row: u32, input: u32) -> f32 {
    if (row < p.rows && input < p.inputs) {
        return f32(x[start + row * p.x_row_stride + input * p.x_input_stride]);
    }
    return 0.0;
}

fn w_number(start: u32, output: u32, input: u32) -> f32 {
    if (output < p.outputs && input < p.inputs) {
        return f32(w[start + output * p.w_output_stride + input * p.w_input_stride]);
    }
    return 0.0;
}

// Stages a slice of x and w, zero beyond their edges.
fn stage(x_start: u32, w_start: u32, lane: u32, first_row: u32, first_output: u32, first_input: u32) {
    for (var slot = lane; slot < DEPTH * TILE / 4u; slot += 64u) {
        let input = first_input + slot % DEPTH;
        let row = first_row + slot / DEPTH * 4u;
        let output = first_output + slot / DEPTH * 4u;
        let place = (slot % DEPTH) * (TILE / 4u) + slot / DEPTH;
        x_tile[place] = vec4<f32>(
            x_number(x_start, row, input),
            x_number(x_start, row + 1u, input),
            x_number(x_start, row + 2u, input),
            x_number(x_start, row + 3u, input),
        );
        w_tile[place] = vec4<f32>(
            w_number(w_start, output, input),
            w_number(w_start, output + 1u, input),
            w_number(w_start, output + 2u, input),
            w_number(w_start, output + 3u, input),
        );
    }
}

// Where the rows of a tile's results, and of what is added to them, begin.
struct Starts {
    y: u32,
    bias: u32,
    residual: u32,
}

fn store_number(starts: Starts, row: u32, output: u32, number: f32) {
    if (row < p.rows && output < p.outputs) {
        var result = p.product_scale * number;
        if (p.has_bias != 0u) {
            result += p.bias_scale * f32(bias[starts.bias + row * p.bias_row_stride + output]);
        }
        if (p.activation != 0u) {
            result = activated(p.activation, result);
        }
        if (p.has_residual != 0u) {
            result += f32(residual[starts.residual + row * p.residual_row_stride + output]);
        }
        y[starts.y + row * p.y_row_stride + output] = StoredY(result);
    }
}

fn store(starts: Starts, row: u32, output: u32, results: vec4<f32>) {
    store_number(starts, row, output, results.x);
    store_number(starts, row, output + 1u, results.y);
    store_number(starts, row, output + 2u, results.z);
    store_number(starts, row, output + 3u, results.w);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_number(workgroup, grid), TILE, TILE);
    if (tile.batch >= p.batch) {
        return;
    }
    let x_start = p.x_offset + tile.batch * p.x_batch_stride + tile.group * p.x_group_stride;
    let w_start = p.w_offset + tile.batch * p.w_batch_stride + tile.group * p.w_group_stride;
    let own_row = lane / 8u;
    let own_output = lane % 8u;

    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var first_input = 0u; first_input < p.inputs; first_input += DEPTH) {
        workgroupBarrier();
        stage(x_start, w_start, lane, tile.first_row, tile.first_output, first_input);
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let rows = x_tile[i * (TILE / 4u) + own_row];
            let outputs = w_tile[i * (TILE / 4u) + own_output];
            sum0 += rows.x * outputs;
            sum1 += rows.y * outputs;
            sum2 += rows.z * outputs;
            sum3 += rows.w * outputs;
        }
    }

    let starts = Starts(
        p.y_offset + tile.batch * p.y_batch_stride + tile.group * p.y_group_stride,
        p.bias_offset + tile.batch * p.bias_batch_stride + tile.group * p.bias_group_stride,
        p.residual_offset + tile.batch * p.residual_batch_stride + tile.group * p.residual_group_stride,
    );
    let row = tile.first_row + own_row * 4u;
    let output = tile.first_output + own_output * 4u;
    store(starts, row, output, sum0);
    store(starts, row + 1u, output, sum1);
    store(starts, row + 2u, output, sum2);
    store(starts, row + 3u, output, sum3);
}
