// The mean colour of all pixels of the frames, 0 to 1.
//
// One workgroup. Sums are whole numbers below 2^32: `Grid` has at most 2^23 pixels in the frames of a patch.

struct Params {
    pixels: u32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scaled: array<u32>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4<f32>>;

var<workgroup> sums: array<vec3<u32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = vec3<u32>(0u);
    for (var i = lane; i < p.pixels; i += 64u) {
        sum += channels(scaled[i]);
    }
    sums[lane] = sum;
    for (var step = 32u; step > 0u; step >>= 1u) {
        workgroupBarrier();
        if (lane < step) {
            sums[lane] += sums[lane + step];
        }
    }
    if (lane == 0u) {
        mean[0] = vec4<f32>(vec3<f32>(sums[0]) / (f32(p.pixels) * 255.0), 0.0);
    }
}
