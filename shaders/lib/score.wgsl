// Scores to more than float32. A softmax needs the differences of its scores to about 1e-6, but a float32 dot product of size 3,000 is
// off by 1e-4 already. So each vector is split at a power of two of its own, x = unit * (coarse + fine) with an integer |coarse| <= 256
// and |fine| <= 1/2. Products and sums of coarse parts are integers below 2^24 (for up to 256 columns), and therefore exact in any order,
// with or without fused multiply-add. The remainder is 2^8 times smaller.
//
// For finite vectors whose products stay within float32, |q| |k| D < 3e38; an infinity in a vector makes its scores NaN.
//! use constants

struct Score {
    coarse: f32,
    fine: f32,
}

// a - b. Exact in the coarse part if the two are close.
fn excess(a: Score, b: Score) -> f32 {
    return (a.coarse - b.coarse) + (a.fine - b.fine);
}

// The power of two of which `magnitude` is 128 to 256 (or fewer, if no float32 is small enough).
fn unit_of(magnitude: f32) -> f32 {
    let exponent = clamp(bitcast<u32>(magnitude) >> 23u, 8u, 254u);
    return bitcast<f32>((exponent - 7u) << 23u);
}

// 1 / unit, exact: a division need not be.
fn inverse_of(unit: f32) -> f32 {
    return bitcast<f32>((254u << 23u) - bitcast<u32>(unit));
}

fn largest(v: vec4<f32>) -> f32 {
    let a = abs(v);
    return max(max(a.x, a.y), max(a.z, a.w));
}

fn sum_of(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn higher(a: Score, b: Score) -> Score {
    if (excess(b, a) > 0.0) {
        return b;
    }
    return a;
}

// A score, or LOWEST if there is no key.
fn known(score: Score, exists: bool) -> Score {
    if (exists) {
        return score;
    }
    return Score(LOWEST, 0.0);
}

// Products of a query and a key in units, column by column.
struct Products {
    coarse: vec4<f32>,
    fine: vec4<f32>,
}

fn add_product(products: Products, query: vec4<f32>, coarse_query: vec4<f32>, key: vec4<f32>) -> Products {
    let coarse_key = round(key);
    return Products(
        products.coarse + coarse_query * coarse_key,
        products.fine + coarse_query * (key - coarse_key) + (query - coarse_query) * key,
    );
}

// The score from summed products; `unit` is the query's unit times the key's.
fn score_of(products: Products, unit: f32) -> Score {
    return Score(sum_of(products.coarse) * unit, sum_of(products.fine) * unit);
}
