// The host's own drawing: a disc that moves over a still, coloured ground.
//
// picture(x, y, t) = disc's colour where |(x, y) - centre(t)| < radius, else ground(x, y). Drawn as one triangle that covers the picture.

struct Frame {
    // Of the disc, in pixels of the picture.
    centre: vec2<f32>,
    unused: vec2<f32>,
}

@group(0) @binding(0) var<uniform> frame: Frame;

const RADIUS: f32 = 10.0;

@vertex
fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(vec2<u32>(index & 1u, index >> 1u)) * 4.0 - 1.0;
    return vec4<f32>(corner, 0.0, 1.0);
}

fn ground(at: vec2<f32>) -> vec3<f32> {
    let wave = sin(at.x * 0.11 + sin(at.y * 0.07) * 2.0) * cos(at.y * 0.13 - at.x * 0.03);
    let fine = sin(at.x * 0.9) * sin(at.y * 0.8) * 0.06;
    return vec3<f32>(0.30, 0.42, 0.36) + vec3<f32>(0.06, 0.12, 0.10) * wave + fine;
}

@fragment
fn draw(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let away = position.xy - frame.centre;
    let inside = smoothstep(RADIUS, RADIUS - 1.5, length(away));
    let disc = mix(vec3<f32>(0.95, 0.55, 0.15), vec3<f32>(0.85, 0.15, 0.2), step(0.0, away.y));
    return vec4<f32>(mix(ground(position.xy), disc, inside), 1.0);
}
