// Whether a number is NaN, told by its bits: in naga's SPIR-V it equals itself.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
