// A picture in one texture: RGBA8, BGRA8, their sRGB forms, or RGBA16F.

@group(0) @binding(1) var picture: texture_2d<f32>;

fn colour_at(column: u32, row: u32) -> vec3<f32> {
    let loaded = textureLoad(picture, vec2<i32>(i32(column), i32(row)), 0).rgb;
    if (p.source.is_linear == 0u) {
        return steps(loaded);
    }
    return steps(vec3<f32>(encoded(loaded.r), encoded(loaded.g), encoded(loaded.b)));
}
