// Matrix product with optional bias, GELU and residual by matrix units: operands stored as float16, sums in float32.
//
//   y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]
//
// The invocations of a subgroup multiply matrices of SIDE x SIDE together. Slices of 32 inputs of the tile's rows and outputs are staged in
// workgroup memory, while the next slice is loaded into registers; from each slice a subgroup loads 4 matrices of rows and 2 of outputs at a
// time for 8 products. Results go through workgroup memory once, to the invocations that store them.
// Lines of the tiles are padded by 8 elements, so that the lines of a matrix begin at different banks.
//
// Grid: workgroups numbered ((b * groups + g) * row_tiles + row_tile) * output_tiles + output_tile; a workgroup of 2 x 4 subgroups of LANES
// invocations makes a tile of 8 SIDE x 8 SIDE results, a subgroup 4 SIDE x 2 SIDE of them.
// Limits: x and w stored as float16; inputs, outputs, offsets and strides are multiples of four, rows of x without gaps, w without gaps in
// one direction; matrix units of SIDE; workgroup memory: 1,280 SIDE + 32 SIDE * SIDE bytes. If a driver runs subgroups of another size than
// LANES, a plain loop computes the tile.
// Constants: LANES, SIDE (8 or 16), W_ACROSS (1 if outputs follow each other in w, 0 if inputs do); Left, Right and Sums, the matrices.
//! use grid, product, product_vectors

const TILE: u32 = 8u * SIDE;                 // rows and outputs of a workgroup
const THREADS: u32 = 8u * LANES;
const PITCH: u32 = COOPERATIVE_DEPTH + 8u;   // from a row, or an output, to the next in its tile
const ACROSS_PITCH: u32 = TILE + 8u;         // from an input to the next, where outputs follow each other
const BROUGHT: u32 = TILE * COOPERATIVE_DEPTH / 4u / THREADS; // vectors of either tile that an invocation brings

var<workgroup> x_tile: array<f16, TILE * PITCH>;
var<workgroup> w_tile: array<f16, TILE * PITCH>;
var<workgroup> results: array<f32, 8u * SIDE * SIDE>;

// Sums of the subgroup's first to fourth row of matrices, first and second column.
var<private> sum00: Sums;
var<private> sum01: Sums;
var<private> sum10: Sums;
var<private> sum11: Sums;
var<private> sum20: Sums;
var<private> sum21: Sums;
var<private> sum30: Sums;
var<private> sum31: Sums;

// The invocation's part of the next slice.
var<private> next_x: array<vec4<f16>, BROUGHT>;
var<private> next_w: array<vec4<f16>, BROUGHT>;

fn clear() {
    sum00 = Sums();
    sum01 = Sums();
    sum10 = Sums();
    sum11 = Sums();
    sum20 = Sums();
    sum21 = Sums();
    sum30 = Sums();
    sum31 = Sums();
}

// Fetches the invocation's part of a slice, zero beyond the edges.
fn fetch(origin: Origin, lane: u32, first_input: u32) {
    for (var i = 0u; i < BROUGHT; i++) {
        let slot = lane + i * THREADS;
        let line = slot / (COOPERATIVE_DEPTH / 4u);
        let input = first_input + slot % (COOPERATIVE_DEPTH / 4u) * 4u;
        next_x[i] = vec4<f16>();
        if (origin.first_row + line < p.rows && input < p.inputs) {
            next_x[i] = x[origin.x + ((origin.first_row + line) * p.x.stride.z + input) / 4u];
        }
        next_w[i] = vec4<f16>();
        if (W_ACROSS == 1u) {
            let across = first_input + slot / (TILE / 4u);
            let output = origin.first_output + slot % (TILE / 4u) * 4u;
            if (output < p.outputs && across < p.inputs) {
                next_w[i] = w[origin.w + (output + across * p.w.stride.w) / 4u];
            }
        } else if (origin.first_output + line < p.outputs && input < p.inputs) {
            next_w[i] = w[origin.w + ((origin.first_output + line) * p.w.stride.z + input) / 4u];
        }
    }
}

// Stores the fetched part to the tiles.
fn stage(lane: u32) {
    for (var i = 0u; i < BROUGHT; i++) {
        let slot = lane + i * THREADS;
        let at = slot / (COOPERATIVE_DEPTH / 4u) * PITCH + slot % (COOPERATIVE_DEPTH / 4u) * 4u;
        x_tile[at] = next_x[i].x;
        x_tile[at + 1u] = next_x[i].y;
        x_tile[at + 2u] = next_x[i].z;
        x_tile[at + 3u] = next_x[i].w;
        var w_slot = at;
        if (W_ACROSS == 1u) {
            w_slot = slot / (TILE / 4u) * ACROSS_PITCH + slot % (TILE / 4u) * 4u;
        }
        w_tile[w_slot] = next_w[i].x;
        w_tile[w_slot + 1u] = next_w[i].y;
        w_tile[w_slot + 2u] = next_w[i].z;
        w_tile[w_slot + 3u] = next_w[i].w;
    }
}

fn x_matrix(row: u32, input: u32) -> Left {
    return coopLoadT<Left>(&x_tile[row * PITCH + input], PITCH);
}

fn w_matrix(output: u32, input: u32) -> Right {
    if (W_ACROSS == 1u) {
        return coopLoadT<Right>(&w_tile[input * ACROSS_PITCH + output], ACROSS_PITCH);
    }
    return coopLoad<Right>(&w_tile[output * PITCH + input], PITCH);
}

// Adds the products of the slice's inputs from `input`, for the subgroup's rows from `row` and outputs from `output` of the tile.
fn multiply(row: u32, output: u32, input: u32) {
    let w0 = w_matrix(output, input);
    let w1 = w_matrix(output + SIDE, input);
    let x0 = x_matrix(row, input);
    sum00 = coopMultiplyAdd(x0, w0, sum00);
    sum01 = coopMultiplyAdd(x0, w1, sum01);
    let x1 = x_matrix(row + SIDE, input);
    sum10 = coopMultiplyAdd(x1, w0, sum10);
    sum11 = coopMultiplyAdd(x1, w1, sum11);
    let x2 = x_matrix(row + 2u * SIDE, input);
    sum20 = coopMultiplyAdd(x2, w0, sum20);
    sum21 = coopMultiplyAdd(x2, w1, sum21);
    let x3 = x_matrix(row + 3u * SIDE, input);
    sum30 = coopMultiplyAdd(x3, w0, sum30);
    sum31 = coopMultiplyAdd(x3, w1, sum31);
}

// Stores a matrix of every subgroup. All invocations must call.
fn store_matrix(origin: Origin, own: u32, lane: u32, row: u32, output: u32, sums: Sums) {
    let start = own * SIDE * SIDE;
    workgroupBarrier();
    coopStoreT(sums, &results[start], SIDE);
    workgroupBarrier();
    for (var slot = lane % LANES; slot < SIDE * SIDE / 4u; slot += LANES) {
        let at = start + slot * 4u;
        let sums4 = vec4<f32>(results[at], results[at + 1u], results[at + 2u], results[at + 3u]);
        epilogue(origin, row + slot / (SIDE / 4u), output + slot % (SIDE / 4u) * 4u, sums4);
    }
}

fn store_all(origin: Origin, own: u32, lane: u32, row: u32, output: u32) {
    store_matrix(origin, own, lane, row, output, sum00);
    store_matrix(origin, own, lane, row, output + SIDE, sum01);
    store_matrix(origin, own, lane, row + SIDE, output, sum10);
    store_matrix(origin, own, lane, row + SIDE, output + SIDE, sum11);
    store_matrix(origin, own, lane, row + 2u * SIDE, output, sum20);
    store_matrix(origin, own, lane, row + 2u * SIDE, output + SIDE, sum21);
    store_matrix(origin, own, lane, row + 3u * SIDE, output, sum30);
    store_matrix(origin, own, lane, row + 3u * SIDE, output + SIDE, sum31);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid), TILE, TILE);
    if (tile.batch >= p.batch) {
        return;
    }
    let origin = origin_of(tile);
    if (subgroup_size != LANES) {
        for (var slot = index; slot < TILE * TILE / 4u; slot += THREADS) {
            plain_product(origin, origin.first_row + slot / (TILE / 4u), origin.first_output + slot % (TILE / 4u) * 4u);
        }
        return;
    }
    let lane = subgroup * LANES + member;
    let row = subgroup / 4u * 4u * SIDE;
    let output = subgroup % 4u * 2u * SIDE;
    clear();
    fetch(origin, lane, 0u);
    for (var first_input = 0u; first_input < p.inputs; first_input += COOPERATIVE_DEPTH) {
        workgroupBarrier();
        stage(lane);
        workgroupBarrier();
        fetch(origin, lane, first_input + COOPERATIVE_DEPTH);
        for (var input = 0u; input < COOPERATIVE_DEPTH; input += SIDE) {
            multiply(row, output, input);
        }
    }
    store_all(origin, subgroup, lane, origin.first_row + row, origin.first_output + output);
}
