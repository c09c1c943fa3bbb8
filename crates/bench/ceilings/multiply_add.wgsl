// Multiply-adds as fast as they come: eight sums an invocation that do not wait for each other.
//
// The prelude defines Number (a scalar or vector), splat(f32) -> Number, multiply_add(x, factor, term) and total(Number) -> f32, and
// the const TURNS. Factors and terms are one, which no compiler knows, as they come from memory: so a sum counts its
// multiply-adds, and stays a whole number that even a 16-bit float holds.

@group(0) @binding(0) var<storage, read> numbers: array<f32, 128>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // By invocation, for what is the same in all of them may be computed once for all.
    let factor = splat(numbers[lane]);
    let term = splat(numbers[64u + lane]);
    var a = term;
    var b = a + term;
    var c = b + term;
    var d = c + term;
    var e = d + term;
    var f = e + term;
    var g = f + term;
    var h = g + term;
    for (var turn = 0u; turn < TURNS; turn++) {
        // Four times, so that counting turns does not count.
        a = multiply_add(a, factor, term);
        b = multiply_add(b, factor, term);
        c = multiply_add(c, factor, term);
        d = multiply_add(d, factor, term);
        e = multiply_add(e, factor, term);
        f = multiply_add(f, factor, term);
        g = multiply_add(g, factor, term);
        h = multiply_add(h, factor, term);
        a = multiply_add(a, factor, term);
        b = multiply_add(b, factor, term);
        c = multiply_add(c, factor, term);
        d = multiply_add(d, factor, term);
        e = multiply_add(e, factor, term);
        f = multiply_add(f, factor, term);
        g = multiply_add(g, factor, term);
        h = multiply_add(h, factor, term);
        a = multiply_add(a, factor, term);
        b = multiply_add(b, factor, term);
        c = multiply_add(c, factor, term);
        d = multiply_add(d, factor, term);
        e = multiply_add(e, factor, term);
        f = multiply_add(f, factor, term);
        g = multiply_add(g, factor, term);
        h = multiply_add(h, factor, term);
        a = multiply_add(a, factor, term);
        b = multiply_add(b, factor, term);
        c = multiply_add(c, factor, term);
        d = multiply_add(d, factor, term);
        e = multiply_add(e, factor, term);
        f = multiply_add(f, factor, term);
        g = multiply_add(g, factor, term);
        h = multiply_add(h, factor, term);
    }
    sums[id.x] = total(a) + total(b) + total(c) + total(d) + total(e) + total(f) + total(g) + total(h);
}
