// The exponential that keeps NaN: SwiftShader makes it infinite, and a softmax over it zeros. NaN is told by its bits, because in naga's
// SPIR-V it equals itself.

fn exponential(x: f32) -> f32 {
    let is_nan = (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
    return select(exp(x), x, is_nan);
}
