// Two buffers read, at the width of Vector: each invocation takes TURNS vectors of either, a step of all invocations apart, so that neighbours take
// neighbours. What `memory_write` and `memory_copy` left there are small whole numbers, so that the sums are exact in any order.
//
// The prelude defines Vector, total(Vector) -> f32 and the const TURNS.

@group(0) @binding(0) var<storage, read> first: array<Vector>;
@group(0) @binding(1) var<storage, read> second: array<Vector>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let step = workgroups.x * 64u;
    var sum = Vector();
    for (var turn = 0u; turn < TURNS; turn++) {
        let place = turn * step + id.x;
        sum += first[place] + second[place];
    }
    sums[id.x] = total(sum);
}
