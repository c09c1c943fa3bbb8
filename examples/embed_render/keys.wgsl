// The host's own compute shader: a descriptor for each patch of the picture, straight into the keys of the plan.
//
// keys[slot, s] = the mean colours of the four quarters of patch s, less the mean of all patches to come (a constant), at length one.
// An invocation a patch.

struct Frame {
    centre: vec2<f32>,
    slot: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> keys: array<f32>;

override columns: u32;
override patches: u32;
override side: u32;

const SIZE: u32 = 12u;
const GROUND: vec3<f32> = vec3<f32>(0.30, 0.42, 0.36);

fn quarter(first: vec2<u32>) -> vec3<f32> {
    var sum = vec3<f32>(0.0);
    for (var y = 0u; y < side / 2u; y++) {
        for (var x = 0u; x < side / 2u; x++) {
            sum += textureLoad(picture, vec2<i32>(first + vec2<u32>(x, y)), 0).rgb;
        }
    }
    return sum / f32(side * side / 4u) - GROUND;
}

@compute @workgroup_size(64)
fn describe(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= patches) {
        return;
    }
    let corner = vec2<u32>(id.x % columns, id.x / columns) * side;
    var length_squared = 1e-4;
    let base = (frame.slot * patches + id.x) * SIZE;
    for (var part = 0u; part < 4u; part++) {
        let colour = quarter(corner + vec2<u32>(part & 1u, part >> 1u) * (side / 2u));
        length_squared += dot(colour, colour);
        for (var channel = 0u; channel < 3u; channel++) {
            keys[base + part * 3u + channel] = colour[channel];
        }
    }
    for (var number = 0u; number < SIZE; number++) {
        keys[base + number] *= inverseSqrt(length_squared);
    }
}
