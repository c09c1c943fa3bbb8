// Operands of the matrix product as vectors of four, for variants whose sizes, offsets and strides are multiples of four: loads and the epilogue.
// Constant of the variant: W_ACROSS (1 if outputs follow each other in w, 0 if inputs do).
//! use product, gelu
//! vec4 x, w, bias, residual, y

// The first row and output of a tile, and the offsets of the operands of its batch item and group, in vectors.
struct Origin {
    first_row: u32,
    first_output: u32,
    x: u32,
    w: u32,
    bias: u32,
    residual: u32,
    y: u32,
}

const NEXT4: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

fn origin_of(tile: TileCoords) -> Origin {
    return Origin(
        tile.first_row,
        tile.first_output,
        x_at(tile.batch, tile.group, 0u, 0u) / 4u,
        w_at(tile.batch, tile.group, 0u, 0u) / 4u,
        bias_at(tile.batch, tile.group, 0u) / 4u,
        residual_at(tile.batch, tile.group, 0u) / 4u,
        y_at(tile.batch, tile.group, 0u) / 4u,
    );
}

// Four vectors of x, a column each.
fn x_columns(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(x[at.x]), vec4<f32>(x[at.y]), vec4<f32>(x[at.z]), vec4<f32>(x[at.w]));
}

fn w_columns(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(w[at.x]), vec4<f32>(w[at.y]), vec4<f32>(w[at.z]), vec4<f32>(w[at.w]));
}

// Four inputs from `input` of four outputs from `output`: a column an input, a component an output.
fn load_w(base: u32, output: u32, input: u32) -> mat4x4<f32> {
    if (W_ACROSS == 1u) {
        let stride = p.w.stride.w;
        return w_columns(base + (output + input * stride) / 4u + NEXT4 * (stride / 4u));
    }
    let stride = p.w.stride.z;
    return transpose(w_columns(base + (output * stride + input) / 4u + NEXT4 * (stride / 4u)));
}

// Stores four results of a row: scaled, with bias, activation and residual.
fn epilogue(origin: Origin, row: u32, output: u32, sums: vec4<f32>) {
    if (row < p.rows && output < p.outputs) {
        var result = p.product_scale * sums;
        if (p.has_bias != 0u) {
            result += p.bias_scale * vec4<f32>(bias[origin.bias + (row * p.bias.stride.z + output) / 4u]);
        }
        if (p.activation == ACTIVATION_GELU) {
            result = gelu_each(result);
        }
        if (p.activation == ACTIVATION_GELU_FAST) {
            result = gelu_fast(result);
        }
        if (p.has_residual != 0u) {
            result += vec4<f32>(residual[origin.residual + (row * p.residual.stride.z + output) / 4u]);
        }
        y[origin.y + (row * p.y.stride.z + output) / 4u] = vec4<StoredY>(result);
    }
}

// The same for four rows, a column each.
fn epilogue_of_rows(origin: Origin, row: u32, output: u32, sums: mat4x4<f32>) {
    epilogue(origin, row, output, sums[0]);
    epilogue(origin, row + 1u, output, sums[1]);
    epilogue(origin, row + 2u, output, sums[2]);
    epilogue(origin, row + 3u, output, sums[3]);
}

// Four results of a row by a plain loop, for drivers that run subgroups of another size than they reported.
fn plain_product(origin: Origin, row: u32, output: u32) {
    var sums = vec4<f32>();
    for (var input = 0u; input < p.inputs && row < p.rows && output < p.outputs; input += 4u) {
        sums += load_w(origin.w, output, input) * vec4<f32>(x[origin.x + (row * p.x.stride.z + input) / 4u]);
    }
    epilogue(origin, row, output, sums);
}
