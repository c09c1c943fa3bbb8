// Products of matrices by matrix units: four sums a subgroup that do not wait for each other. A workgroup is one subgroup.
//
// The prelude defines Left, Right and Result (matrices of SIDE x SIDE), Input and Sum (what they are made of), and the consts SIDE, SUBGROUP
// and TURNS. `left` is all ones and `right` all 1 / SIDE, so that each turn adds one to every number of a sum.

@group(0) @binding(0) var<storage, read> left: array<Input>;
@group(0) @binding(1) var<storage, read> right: array<Input>;
@group(0) @binding(2) var<storage, read> zeros: array<Sum>;
@group(0) @binding(3) var<storage, read_write> sums: array<Sum>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>) {
    let x = coopLoad<Left>(&left[0], SIDE);
    let y = coopLoad<Right>(&right[0], SIDE);
    var a = coopLoad<Result>(&zeros[0], SIDE);
    var b = coopLoad<Result>(&zeros[SIDE], SIDE);
    var c = coopLoad<Result>(&zeros[2u * SIDE], SIDE);
    var d = coopLoad<Result>(&zeros[3u * SIDE], SIDE);
    for (var turn = 0u; turn < TURNS; turn++) {
        a = coopMultiplyAdd(x, y, a);
        b = coopMultiplyAdd(x, y, b);
        c = coopMultiplyAdd(x, y, c);
        d = coopMultiplyAdd(x, y, d);
    }
    let first = workgroup.x * 4u * SIDE * SIDE;
    coopStore(a, &sums[first], SIDE);
    coopStore(b, &sums[first + SIDE * SIDE], SIDE);
    coopStore(c, &sums[first + 2u * SIDE * SIDE], SIDE);
    coopStore(d, &sums[first + 3u * SIDE * SIDE], SIDE);
}
