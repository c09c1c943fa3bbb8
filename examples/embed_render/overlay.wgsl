// The host's own drawing of what the plan computed: the picture, and over it the attention to the frame that it shows.
//
// shown = mix(greyish picture, warm colour, sqrt(a)), where a = attention to the place, relative to its peak in the frame.

struct Frame {
    centre: vec2<f32>,
    slot: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var<storage, read> attention: array<f32>;

override columns: u32;
override patches: u32;
override side: u32;
override enlarged: u32;

struct Corner {
    @builtin(position) position: vec4<f32>,
    // The most attention that any patch of the frame gets.
    @location(0) @interpolate(flat, either) peak: f32,
}

@vertex
fn cover(@builtin(vertex_index) index: u32) -> Corner {
    var peak = 1e-9;
    for (var number = 0u; number < patches; number++) {
        peak = max(peak, attention[frame.slot * patches + number]);
    }
    let corner = vec2<f32>(vec2<u32>(index & 1u, index >> 1u)) * 4.0 - 1.0;
    return Corner(vec4<f32>(corner, 0.0, 1.0), peak);
}

fn attention_to(column: i32, row: i32) -> f32 {
    let last = vec2<i32>(i32(columns), i32(patches / columns)) - 1;
    let at = clamp(vec2<i32>(column, row), vec2<i32>(0), last);
    return attention[frame.slot * patches + u32(at.y) * columns + u32(at.x)];
}

// Between the centres of the four patches around a point.
fn smooth_attention(pixel: vec2<f32>) -> f32 {
    let at = pixel / f32(side) - 0.5;
    let first = vec2<i32>(floor(at));
    let share = fract(at);
    let upper = mix(attention_to(first.x, first.y), attention_to(first.x + 1, first.y), share.x);
    let lower = mix(attention_to(first.x, first.y + 1), attention_to(first.x + 1, first.y + 1), share.x);
    return mix(upper, lower, share.y);
}

@fragment
fn show(corner: Corner) -> @location(0) vec4<f32> {
    let at = corner.position.xy / f32(enlarged);
    let pixel = min(vec2<u32>(at), textureDimensions(picture) - 1u);
    let colour = textureLoad(picture, vec2<i32>(pixel), 0).rgb;
    let heat = sqrt(smooth_attention(at) / corner.peak);
    let grey = vec3<f32>(dot(colour, vec3<f32>(0.3, 0.6, 0.1))) * 0.6;
    let warm = vec3<f32>(1.0, 0.35 + 0.6 * heat, 0.1);
    return vec4<f32>(mix(mix(grey, colour, 0.35), warm, heat * 0.75), 1.0);
}
