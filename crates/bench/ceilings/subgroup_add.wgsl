// Sums over subgroups, each waiting for the one before it: the mean of equal numbers and one more, so that the turns are counted.

@group(0) @binding(0) var<storage, read> numbers: array<f32, 64>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) size: u32,
) {
    // A power of two, so that nothing is rounded.
    let part = 1.0 / f32(size);
    var sum = numbers[lane];
    for (var turn = 0u; turn < TURNS; turn++) {
        sum = subgroupAdd(sum) * part + 1.0;
    }
    sums[id.x] = sum;
}
