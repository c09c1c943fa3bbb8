// Activations by their codes. NaN stays NaN.
//! use gelu

fn activated(activation: u32, x: f32) -> f32 {
    if (activation == ACTIVATION_GELU) {
        return gelu(x);
    }
    if (activation == ACTIVATION_GELU_FAST) {
        return gelu_fast(vec4<f32>(x)).x;
    }
    if (activation == ACTIVATION_TANH) {
        // Beyond 10 it is one in float32; further out the exponentials that drivers compute it from overflow.
        if (abs(x) > 10.0) {
            return sign(x);
        }
        return tanh(x);
    }
    // ACTIVATION_RELU.
    return select(x, 0.0, x < 0.0);
}
