// Attention as heat: 0 (none) to 1 (the largest weight of all frames), interpolated between the centres of patches.

struct Params {
    grid: Grid,
    // From a point of the target, 0 to 1 in each direction, to pixels of the scaled picture: scale, then shift.
    scale: vec2<f32>,
    shift: vec2<f32>,
    // Where the weights of the frame begin, elements.
    offset: u32,
    // Whether the target takes linear light.
    is_linear: u32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> attention: array<f32>;
@group(0) @binding(2) var<storage, read> strongest: array<f32>;
// Colour and cover of heat 0, 1/255, ... 1.
@group(0) @binding(3) var<storage, read> palette: array<vec4<f32>>;

// The patch left of (above) a position, the next one, and the share of that.
struct Between {
    low: u32,
    high: u32,
    share: f32,
}

fn between(at: f32, first: i32, count: u32) -> Between {
    let position = clamp((at - f32(first)) / f32(p.grid.side) - 0.5, 0.0, f32(count - 1u));
    let low = min(u32(position), u32(max(i32(count) - 2, 0)));
    return Between(low, min(low + 1u, count - 1u), position - f32(low));
}

fn weight(column: u32, row: u32) -> f32 {
    return attention[p.offset + row * p.grid.columns + column];
}

// Heat at a point of the target; none outside of the picture.
fn heat_at(target_point: vec2<f32>) -> f32 {
    let at = target_point * p.scale + p.shift;
    let is_inside = all(at >= vec2<f32>(0.0)) && at.x < f32(p.grid.width) && at.y < f32(p.grid.height);
    if (!is_inside || !(strongest[0] > 0.0)) {
        return 0.0;
    }
    let x = between(at.x, p.grid.left, p.grid.columns);
    let y = between(at.y, p.grid.top, p.grid.rows);
    let upper = mix(weight(x.low, y.low), weight(x.high, y.low), x.share);
    let lower = mix(weight(x.low, y.high), weight(x.high, y.high), x.share);
    return saturated(mix(upper, lower, y.share) / strongest[0]);
}

// Colour, and how much of what is below it covers.
fn heat_colour(heat: f32) -> vec4<f32> {
    let position = heat * 255.0;
    let low = min(u32(position), 254u);
    let colour = mix(palette[low], palette[low + 1u], position - f32(low));
    if (p.is_linear == 0u) {
        return colour;
    }
    return vec4<f32>(linear(colour.r), linear(colour.g), linear(colour.b), colour.a);
}
