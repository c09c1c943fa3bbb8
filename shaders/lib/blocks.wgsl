// Blocks of four by four elements in registers.

// Adds component i of `columns` times `rows` to column i.
fn add_products(sums: mat4x4<f32>, columns: vec4<f32>, rows: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(columns.x), rows, sums[0]),
        fma(vec4<f32>(columns.y), rows, sums[1]),
        fma(vec4<f32>(columns.z), rows, sums[2]),
        fma(vec4<f32>(columns.w), rows, sums[3]),
    );
}

// Column i times component i of `factors`.
fn scale_columns(block: mat4x4<f32>, factors: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(block[0] * factors.x, block[1] * factors.y, block[2] * factors.z, block[3] * factors.w);
}

// The sums of the squares along each component.
fn squares_along(block: mat4x4<f32>) -> vec4<f32> {
    return (block[0] * block[0] + block[1] * block[1]) + (block[2] * block[2] + block[3] * block[3]);
}
