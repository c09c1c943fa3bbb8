// The largest weight of the attention to some frames: what is as hot as can be. One workgroup.

struct Params {
    count: u32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> attention: array<f32>;
@group(0) @binding(2) var<storage, read_write> strongest: array<f32>;

var<workgroup> largest: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var own = 0.0;
    for (var i = lane; i < p.count; i += 64u) {
        own = max(own, attention[i]);
    }
    largest[lane] = own;
    for (var step = 32u; step > 0u; step >>= 1u) {
        workgroupBarrier();
        if (lane < step) {
            largest[lane] = max(largest[lane], largest[lane + step]);
        }
    }
    if (lane == 0u) {
        strongest[0] = largest[0];
    }
}
