// Atomic additions to global memory: neighbours beside neighbours, among counters that all workgroups share.

const COUNTERS: u32 = 4096u;

@group(0) @binding(0) var<storage, read_write> counters: array<atomic<u32>, COUNTERS>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var turn = 0u; turn < TURNS; turn++) {
        atomicAdd(&counters[(id.x + 64u * turn) % COUNTERS], 1u);
    }
}
