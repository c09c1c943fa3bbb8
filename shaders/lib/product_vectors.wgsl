// The matrix product's operands as vectors of four, for variants whose sizes, offsets and strides are multiples of four: bindings, loads and
// stores. Needs lib/product.wgsl, lib/gelu.wgsl and W_ACROSS (1 if outputs follow each other in w, 0 if inputs do).

@group(0) @binding(1) var<storage, read> x: array<vec4<StoredX>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<StoredW>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<StoredBias>>;
@group(0) @binding(4) var<storage, read> residual: array<vec4<StoredResidual>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<StoredY>>;

// Where a workgroup's operands begin: rows and outputs as numbers, the others in vectors.
struct Place {
    first_row: u32,
    first_output: u32,
    x: u32,
    w: u32,
    bias: u32,
    residual: u32,
    y: u32,
}

const NEXT_FOUR: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// Four vectors of x, a column each.
fn x_columns(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(x[at.x]), vec4<f32>(x[at.y]), vec4<f32>(x[at.z]), vec4<f32>(x[at.w]));
}

fn w_columns(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(w[at.x]), vec4<f32>(w[at.y]), vec4<f32>(w[at.z]), vec4<f32>(w[at.w]));
}

// Four inputs from `input` of four outputs from `output`: a column an input, a component an output.
fn load_w(start: u32, output: u32, input: u32) -> mat4x4<f32> {
    if (W_ACROSS == 1u) {
        return w_columns(start + (output + input * p.w_input_stride) / 4u + NEXT_FOUR * (p.w_input_stride / 4u));
    }
    return transpose(w_columns(start + (output * p.w_output_stride + input) / 4u + NEXT_FOUR * (p.w_output_stride / 4u)));
}

fn store_row(place: Place, row: u32, output: u32, sums: vec4<f32>) {
    if (row < p.rows && output < p.outputs) {
        var result = p.product_scale * sums;
        if (p.has_bias != 0u) {
            result += p.bias_scale * vec4<f32>(bias[place.bias + (row * p.bias_row_stride + output) / 4u]);
        }
        if (p.activation == 1u) {
            result = gelu_each(result);
        }
        if (p.activation == 2u) {
            result = gelu_fast(result);
        }
        if (p.has_residual != 0u) {
            result += vec4<f32>(residual[place.residual + (row * p.residual_row_stride + output) / 4u]);
        }
        y[place.y + (row * p.y_row_stride + output) / 4u] = vec4<StoredY>(result);
    }
}

fn store_four(place: Place, row: u32, output: u32, sums: mat4x4<f32>) {
    store_row(place, row, output, sums[0]);
    store_row(place, row + 1u, output, sums[1]);
    store_row(place, row + 2u, output, sums[2]);
    store_row(place, row + 3u, output, sums[3]);
}

// Four results of a row, for drivers that do not run subgroups as they said.
fn store_plainly(place: Place, row: u32, output: u32) {
    var sums = vec4<f32>();
    for (var input = 0u; input < p.inputs && row < p.rows && output < p.outputs; input += 4u) {
        sums += load_w(place.w, output, input) * vec4<f32>(x[place.x + (row * p.x_row_stride + input) / 4u]);
    }
    store_row(place, row, output, sums);
}

// Where the operands of a batch item and group begin, for the tile of results at this row and output.
fn place_of(batch: u32, group: u32, first_row: u32, first_output: u32) -> Place {
    return Place(
        first_row,
        first_output,
        (p.x_offset + batch * p.x_batch_stride + group * p.x_group_stride) / 4u,
        (p.w_offset + batch * p.w_batch_stride + group * p.w_group_stride) / 4u,
        (p.bias_offset + batch * p.bias_batch_stride + group * p.bias_group_stride) / 4u,
        (p.residual_offset + batch * p.residual_batch_stride + group * p.residual_group_stride) / 4u,
        (p.y_offset + batch * p.y_batch_stride + group * p.y_group_stride) / 4u,
    );
}
