// Barriers: in each turn everybody takes its neighbour's number and adds one, between two barriers.

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;

var<workgroup> tile: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    tile[lane] = lane;
    workgroupBarrier();
    for (var turn = 0u; turn < TURNS; turn++) {
        let next = tile[(lane + 1u) % 64u];
        workgroupBarrier();
        tile[lane] = next + 1u;
        workgroupBarrier();
    }
    sums[id.x] = f32(tile[lane]);
}
