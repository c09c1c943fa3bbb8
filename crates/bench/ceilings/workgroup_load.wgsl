// Loads from workgroup memory: eight vectors a turn, neighbours beside neighbours, at places that move from turn to turn.

const VECTORS: u32 = 512u;

@group(0) @binding(0) var<storage, read> numbers: array<f32, VECTORS>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

var<workgroup> tile: array<vec4<f32>, VECTORS>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var place = lane; place < VECTORS; place += 64u) {
        tile[place] = vec4<f32>(numbers[place]);
    }
    workgroupBarrier();
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    for (var turn = 0u; turn < TURNS; turn++) {
        let place = lane + turn;
        a += tile[place % VECTORS];
        b += tile[(place + 64u) % VECTORS];
        c += tile[(place + 128u) % VECTORS];
        d += tile[(place + 192u) % VECTORS];
        a += tile[(place + 256u) % VECTORS];
        b += tile[(place + 320u) % VECTORS];
        c += tile[(place + 384u) % VECTORS];
        d += tile[(place + 448u) % VECTORS];
    }
    let sum = (a + b) + (c + d);
    sums[id.x] = sum.x + sum.y + sum.z + sum.w;
}
