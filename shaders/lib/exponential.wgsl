// The exponential and the logarithm that keep NaN: SwiftShader makes it infinite, and a softmax over it zeros.
//! use nan

fn exponential(x: f32) -> f32 {
    return select(exp(x), x, is_nan(x));
}

fn logarithm(x: f32) -> f32 {
    return select(log(x), x, is_nan(x));
}
