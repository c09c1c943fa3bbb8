// Queries and keys as vectors, for variants whose offsets, strides and sizes are multiples of four.
//! vec4 queries, keys

// Four vectors of the keys, a column each.
fn key_columns(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(keys[at.x]), vec4<f32>(keys[at.y]), vec4<f32>(keys[at.z]), vec4<f32>(keys[at.w]));
}

// Elements 4 i to 4 i + 3 of four queries: a column an element, a component a query.
fn query_elements(query_offsets: vec4<u32>, i: u32) -> mat4x4<f32> {
    let at = query_offsets + i;
    return transpose(
        mat4x4<f32>(vec4<f32>(queries[at.x]), vec4<f32>(queries[at.y]), vec4<f32>(queries[at.z]), vec4<f32>(queries[at.w])),
    );
}

fn squares_of(query_offsets: vec4<u32>) -> vec4<f32> {
    var squares = vec4<f32>();
    for (var i = 0u; i < p.head_size / 4u; i++) {
        let elements = query_elements(query_offsets, i);
        squares += elements[0] * elements[0] + elements[1] * elements[1] + elements[2] * elements[2] + elements[3] * elements[3];
    }
    return squares;
}
