// The exponential, of NaN too: to SwiftShader that is infinite, and a softmax over it would be zeros. NaN is told by its bits: as naga writes
// SPIR-V, it does not even differ from itself.

fn exponential(x: f32) -> f32 {
    let is_nan = (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
    return select(exp(x), x, is_nan);
}
