// The epilogue of the matrix product, element by element: scaled, with bias, activation and residual.
//! use product, activation

// Offsets of a tile's first row in the result, the bias and the residual.
struct Bases {
    y: u32,
    bias: u32,
    residual: u32,
}

fn bases_of(tile: TileCoords) -> Bases {
    return Bases(
        y_at(tile.batch, tile.group, 0u),
        bias_at(tile.batch, tile.group, 0u),
        residual_at(tile.batch, tile.group, 0u),
    );
}

fn store_element(bases: Bases, row: u32, output: u32, sum: f32) {
    if (row < p.rows && output < p.outputs) {
        var result = p.product_scale * sum;
        if (p.has_bias != 0u) {
            result += p.bias_scale * f32(bias[bases.bias + row * p.bias.stride.z + output]);
        }
        if (p.activation != 0u) {
            result = activated(p.activation, result);
        }
        if (p.has_residual != 0u) {
            result += f32(residual[bases.residual + row * p.residual.stride.z + output]);
        }
        y[bases.y + row * p.y.stride.z + output] = StoredY(result);
    }
}

// Four results of a row.
fn epilogue(bases: Bases, row: u32, output: u32, sums: vec4<f32>) {
    store_element(bases, row, output, sums.x);
    store_element(bases, row, output + 1u, sums.y);
    store_element(bases, row, output + 2u, sums.z);
    store_element(bases, row, output + 3u, sums.w);
}
