// Where the iteration for the pseudo-inverse of a matrix begins.
//
//   starts[g] = matrices[g]' / (largest column sum of |matrices[g]| * largest row sum of |matrices[g]|)
//
// From there, V <- V (13 I - A V (15 I - A V (7 I - A V))) / 4 converges (Xiong et al., Nystromformer, AAAI 2021).
//
// Grid: one workgroup a matrix. Limits: matrices of at most some 1,300 rows (all loop turns of an invocation at most 61,440); no
// optional feature.
//! use grid

struct Params {
    groups: u32,
    size: u32,
    a_offset: u32,           // offsets are in elements
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> matrices: array<f32>;
@group(0) @binding(2) var<storage, read_write> starts: array<f32>;

var<workgroup> sums: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup_number(workgroup, grid);
    if (group >= p.groups) {
        return;
    }
    let start = p.a_offset + group * p.size * p.size;
    var largest = vec2<f32>();
    for (var line = lane; line < p.size; line += 64u) {
        var sum = vec2<f32>();
        for (var i = 0u; i < p.size; i++) {
            sum += abs(vec2<f32>(matrices[start + i * p.size + line], matrices[start + line * p.size + i]));
        }
        largest = max(largest, sum);
    }
    sums[lane] = largest;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            sums[lane] = max(sums[lane], sums[lane + half]);
        }
    }
    workgroupBarrier();
    let scale = 1.0 / (sums[0].x * sums[0].y);
    let out = p.out_offset + group * p.size * p.size;
    for (var column = lane; column < p.size; column += 64u) {
        for (var i = 0u; i < p.size; i++) {
            starts[out + i * p.size + column] = matrices[start + column * p.size + i] * scale;
        }
    }
}
