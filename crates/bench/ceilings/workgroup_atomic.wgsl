// Atomic additions to workgroup memory: each invocation comes by every counter, neighbours beside neighbours.

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;

var<workgroup> counters: array<atomic<u32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var turn = 0u; turn < TURNS; turn++) {
        atomicAdd(&counters[(lane + turn) % 64u], 1u);
    }
    workgroupBarrier();
    sums[id.x] = f32(atomicLoad(&counters[lane]));
}
