// One buffer copied to another at full width, in the order in which `memory_read` reads them.

@group(0) @binding(0) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> second: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let step = workgroups.x * 64u;
    for (var turn = 0u; turn < TURNS; turn++) {
        let place = turn * step + id.x;
        second[place] = first[place];
    }
}
