// The host's own drawing of the picture on the screen: enlarged, and greyish, so that heat stands out.

@group(0) @binding(0) var picture: texture_2d<f32>;

override enlarged: u32;

@vertex
fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(vec2<u32>(index & 1u, index >> 1u)) * 4.0 - 1.0;
    return vec4<f32>(corner, 0.0, 1.0);
}

@fragment
fn show(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = min(vec2<u32>(position.xy / f32(enlarged)), textureDimensions(picture) - 1u);
    let colour = textureLoad(picture, vec2<i32>(pixel), 0).rgb;
    let grey = vec3<f32>(dot(colour, vec3<f32>(0.3, 0.6, 0.1))) * 0.6;
    return vec4<f32>(mix(grey, colour, 0.35), 1.0);
}
