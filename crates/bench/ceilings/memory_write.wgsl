// Two buffers written at full width, in the order in which `memory_read` reads them; the second gets one more than the first.

@group(0) @binding(0) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> second: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let step = workgroups.x * 64u;
    for (var turn = 0u; turn < TURNS; turn++) {
        let place = turn * step + id.x;
        let value = vec4<f32>(f32((place ^ (place >> 6u)) & 63u));
        first[place] = value;
        second[place] = value + 1.0;
    }
}
