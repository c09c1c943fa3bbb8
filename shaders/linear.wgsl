// Matrix product with optional bias, activation and residual.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// Every axis has a stride, so that x and w may be used as stored or transposed, and bias may be a vector or a matrix.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup of 8 x 8
// invocations makes a tile of 32 x 32 results, an invocation 4 x 4 of them, from slices of 16 inputs in workgroup memory (4 KiB).
// Needs no optional feature.
//! use grid, product, product_elements

// Slices [input][row / 4] and [input][output / 4].
var<workgroup> x_tile: array<vec4<f32>, BASELINE_DEPTH * BASELINE_TILE / 4u>;
var<workgroup> w_tile: array<vec4<f32>, BASELINE_DEPTH * BASELINE_TILE / 4u>;

fn x_element(base: u32, row: u32, input: u32) -> f32 {
    if (row < p.rows && input < p.inputs) {
        return f32(x[base + row * p.x.stride.z + input * p.x.stride.w]);
    }
    return 0.0;
}

fn w_element(base: u32, output: u32, input: u32) -> f32 {
    if (output < p.outputs && input < p.inputs) {
        return f32(w[base + output * p.w.stride.z + input * p.w.stride.w]);
    }
    return 0.0;
}

// Stages a slice of x and w, zero beyond their edges.
fn stage(x_base: u32, w_base: u32, lane: u32, first_row: u32, first_output: u32, first_input: u32) {
    for (var slot = lane; slot < BASELINE_DEPTH * BASELINE_TILE / 4u; slot += WORKGROUP) {
        let input = first_input + slot % BASELINE_DEPTH;
        let row = first_row + slot / BASELINE_DEPTH * 4u;
        let output = first_output + slot / BASELINE_DEPTH * 4u;
        let at = (slot % BASELINE_DEPTH) * (BASELINE_TILE / 4u) + slot / BASELINE_DEPTH;
        x_tile[at] = vec4<f32>(
            x_element(x_base, row, input),
            x_element(x_base, row + 1u, input),
            x_element(x_base, row + 2u, input),
            x_element(x_base, row + 3u, input),
        );
        w_tile[at] = vec4<f32>(
            w_element(w_base, output, input),
            w_element(w_base, output + 1u, input),
            w_element(w_base, output + 2u, input),
            w_element(w_base, output + 3u, input),
        );
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), BASELINE_TILE, BASELINE_TILE);
    if (tile.batch >= p.batch) {
        return;
    }
    let x_base = x_at(tile.batch, tile.group, 0u, 0u);
    let w_base = w_at(tile.batch, tile.group, 0u, 0u);
    let own_row = lane / 8u;
    let own_output = lane % 8u;

    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var first_input = 0u; first_input < p.inputs; first_input += BASELINE_DEPTH) {
        workgroupBarrier();
        stage(x_base, w_base, lane, tile.first_row, tile.first_output, first_input);
        workgroupBarrier();
        for (var i = 0u; i < BASELINE_DEPTH; i++) {
            let rows = x_tile[i * (BASELINE_TILE / 4u) + own_row];
            let outputs = w_tile[i * (BASELINE_TILE / 4u) + own_output];
            sum0 += rows.x * outputs;
            sum1 += rows.y * outputs;
            sum2 += rows.z * outputs;
            sum3 += rows.w * outputs;
        }
    }

    let bases = bases_of(tile);
    let row = tile.first_row + own_row * 4u;
    let output = tile.first_output + own_output * 4u;
    epilogue(bases, row, output, sum0);
    epilogue(bases, row + 1u, output, sum1);
    epilogue(bases, row + 2u, output, sum2);
    epilogue(bases, row + 3u, output, sum3);
}
