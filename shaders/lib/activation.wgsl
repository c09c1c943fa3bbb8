// What a product may end with: GELU (1), its fast form (2), tanh (3), ReLU (4). NaN stays NaN. Needs lib/gelu.wgsl.

fn activated(kind: u32, x: f32) -> f32 {
    if (kind == 1u) {
        return gelu(x);
    }
    if (kind == 2u) {
        return gelu_fast(vec4<f32>(x)).x;
    }
    if (kind == 3u) {
        // Beyond 10 it is one in float32, and the exponentials that drivers make it of overflow further out.
        if (abs(x) > 10.0) {
            return sign(x);
        }
        return tanh(x);
    }
    return select(x, 0.0, x < 0.0);
}
