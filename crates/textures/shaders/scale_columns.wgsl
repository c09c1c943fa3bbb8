// The second half of a triangle filter, along the width, rounded to steps of 8 bits: a pixel a word, red in the lowest byte.
//
//   scaled[y,x] = round(sum_i weights[x,i] rows[y, first[x] + i])
//
// An invocation a pixel; `taps` as in scale_rows.

struct Params {
    // Of `rows`, pixels.
    source_width: u32,
    // Of the scaled picture, pixels.
    width: u32,
    // Words of a row of `taps`.
    stride: u32,
    // Where the frame begins in `scaled`.
    offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> taps: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> scaled: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = pixel_of(workgroup, lane);
    if (pixel.x >= p.width) {
        return;
    }
    let tap = pixel.x * p.stride;
    let first = pixel.y * p.source_width + taps[tap];
    var sum = vec3<f32>(0.0);
    for (var i = 0u; i < taps[tap + 1u]; i++) {
        sum += rows[first + i].rgb * bitcast<f32>(taps[tap + 2u + i]);
    }
    let rounded = vec3<u32>(clamp(floor(sum + 0.5), vec3<f32>(0.0), vec3<f32>(255.0)));
    scaled[p.offset + pixel.y * p.width + pixel.x] = rounded.r | (rounded.g << 8u) | (rounded.b << 16u);
}
