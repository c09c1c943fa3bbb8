// Squares of rows whose length is about one, to more than float32.

// Adds the square of four columns, times 65,536, as an integer and a remainder: integers add up exactly, for up to 256 columns.
fn add_square(square: vec2<f32>, part: vec4<f32>) -> vec2<f32> {
    let scaled = part * 256.0;
    let whole = round(scaled);
    return square + vec2<f32>(dot(whole, whole), dot(scaled - whole, scaled + whole));
}

// Such a square less one.
fn less_one(square: vec2<f32>) -> f32 {
    return ((square.x - 65536.0) + square.y) / 65536.0;
}
