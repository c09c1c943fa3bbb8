// What every kind of picture has: colours in steps of 8 bits, as frames of files have them.

struct Source {
    // Rows of the matrix from (Y, U, V, 1) to red, green and blue.
    red: vec4<f32>,
    green: vec4<f32>,
    blue: vec4<f32>,
    // Whether loads are linear light.
    is_linear: u32,
    // The darkest Y, 0 to 1: what is below it counts as that.
    black: f32,
    padding0: u32,
    padding1: u32,
}

// 0 to 1; NaN becomes 0.
fn saturated(value: f32) -> f32 {
    return min(select(0.0, value, value > 0.0), 1.0);
}

fn encoded(linear: f32) -> f32 {
    let value = saturated(linear);
    return select(1.055 * pow(max(value, 0.0031308), 1.0 / 2.4) - 0.055, 12.92 * value, value <= 0.0031308);
}

fn linear(encoded: f32) -> f32 {
    let value = saturated(encoded);
    return select(pow((max(value, 0.04045) + 0.055) / 1.055, 2.4), value / 12.92, value <= 0.04045);
}

fn steps(colour: vec3<f32>) -> vec3<f32> {
    return floor(vec3<f32>(saturated(colour.r), saturated(colour.g), saturated(colour.b)) * 255.0 + 0.5);
}
