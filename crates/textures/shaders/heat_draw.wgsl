// Heat over what a render target shows, blended by its cover: one triangle over the whole viewport.

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) target_point: vec2<f32>,
}

@vertex
fn cover(@builtin(vertex_index) index: u32) -> Corner {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u)) * 2.0;
    return Corner(vec4<f32>(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0), corner);
}

@fragment
fn show(corner: Corner) -> @location(0) vec4<f32> {
    return heat_colour(heat_at(corner.target_point));
}
