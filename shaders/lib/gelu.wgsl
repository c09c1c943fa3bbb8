// GELU with the error function, x (1 + erf(x / sqrt 2)) / 2. The tail, erfc(|x| / sqrt 2), is formula 7.1.26 of Abramowitz and Stegun: right to
// 1.5e-7 anywhere, and to some per cent of itself far below zero, as it is not computed as a difference from one.

fn gelu(x: f32) -> f32 {
    let size = abs(x);
    if (size > 14.0) {
        return max(x, 0.0);
    }
    let t = 1.0 / (1.0 + 0.3275911 * 0.70710678 * size);
    let polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let half_tail = 0.5 * x * polynomial * exp(-0.5 * x * x);
    return select(half_tail, x - half_tail, x > 0.0);
}

fn gelu_each(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w));
}

// GELU with tanh, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is x divided by 1 + exp(-2 ...). Beyond 20 it is x or zero; clamps
// keep the exponent within float32.
fn gelu_fast(x: vec4<f32>) -> vec4<f32> {
    let above = select(x, vec4<f32>(-20.0), x < vec4<f32>(-20.0));
    let near = select(above, vec4<f32>(20.0), above > vec4<f32>(20.0));
    let inside = 1.5957691216 * near * (1.0 + 0.044715 * near * near);
    return above / (1.0 + exp(clamp(-inside, vec4<f32>(-80.0), vec4<f32>(80.0))));
}
