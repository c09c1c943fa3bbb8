// Four scores each of four queries: a column a key, a component a query.
//! use constants

fn row_max_of(scores: mat4x4<f32>) -> vec4<f32> {
    return max(max(scores[0], scores[1]), max(scores[2], scores[3]));
}

// Scaled products of four queries and four keys; LOWEST for keys beyond the `left` that exist.
fn scores_of(products: mat4x4<f32>, left: i32) -> mat4x4<f32> {
    let scores = products * p.scale;
    let lowest = vec4<f32>(LOWEST);
    return mat4x4<f32>(
        select(lowest, scores[0], left > 0),
        select(lowest, scores[1], left > 1),
        select(lowest, scores[2], left > 2),
        select(lowest, scores[3], left > 3),
    );
}

fn weights_of(scores: mat4x4<f32>, row_max: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(exp(scores[0] - row_max), exp(scores[1] - row_max), exp(scores[2] - row_max), exp(scores[3] - row_max));
}

fn row_sum_of(weights: mat4x4<f32>) -> vec4<f32> {
    return (weights[0] + weights[1]) + (weights[2] + weights[3]);
}
