// A picture scaled along its height: the first half of a triangle filter, which is separable.
//
//   rows[y,x] = sum_i weights[y,i] picture(x, first[y] + i)
//
// An invocation a pixel. `taps` has a row for each y: the first row of the picture, how many there are, and their weights.

struct Params {
    source: Source,
    // Of the picture, pixels.
    width: u32,
    // Of the scaled picture, pixels.
    height: u32,
    // Words of a row of `taps`.
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> taps: array<u32>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = pixel_of(workgroup, lane);
    if (pixel.x >= p.width) {
        return;
    }
    let tap = pixel.y * p.stride;
    let first = taps[tap];
    var sum = vec3<f32>(0.0);
    for (var i = 0u; i < taps[tap + 1u]; i++) {
        sum += colour_at(pixel.x, first + i) * bitcast<f32>(taps[tap + 2u + i]);
    }
    rows[pixel.y * p.width + pixel.x] = vec4<f32>(sum, 0.0);
}
