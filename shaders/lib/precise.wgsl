// Scores of four rows to more than float32, key by key: what variants with plain float32 scores fall back to where those would not do
// (lib/scores.wgsl). Scores are split as in lib/score.wgsl.
//! use score, scores, vectors

// The units of four queries, by the squares of their lengths.
fn units_of(query_squares: vec4<f32>) -> vec4<f32> {
    let lengths = sqrt(query_squares);
    return vec4<f32>(unit_of(lengths.x), unit_of(lengths.y), unit_of(lengths.z), unit_of(lengths.w));
}

fn inverses_of(units: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(inverse_of(units.x), inverse_of(units.y), inverse_of(units.z), inverse_of(units.w));
}

// The higher of two scores, row by row.
fn higher_of(a: Scores, b: Scores) -> Scores {
    let above = excess_of(b, a) > vec4<f32>();
    return Scores(select(a.coarse, b.coarse, above), select(a.fine, b.fine, above));
}

fn add_column(scores: Scores, queries_in_units: vec4<f32>, key: f32) -> Scores {
    let coarse_query = round(queries_in_units);
    let coarse_key = round(key);
    let fine = coarse_query * (key - coarse_key) + (queries_in_units - coarse_query) * key;
    return Scores(scores.coarse + coarse_query * coarse_key, scores.fine + fine);
}

// The unit of a key. Four vectors an iteration, because drivers count iterations; the last one again where there are no more.
fn unit_of_key(key: u32) -> f32 {
    let last = key + p.head_size / 4u - 1u;
    var peak = 0.0;
    var at = key;
    loop {
        let low = max(largest(vec4<f32>(keys[at])), largest(vec4<f32>(keys[min(at + 1u, last)])));
        let high = max(largest(vec4<f32>(keys[min(at + 2u, last)])), largest(vec4<f32>(keys[min(at + 3u, last)])));
        peak = max(peak, max(low, high));
        continuing {
            at += 4u;
            break if at > last;
        }
    }
    return unit_of(peak);
}

// Scores of four queries in units with the key that begins at `key`; in units of the queries'.
fn precise_scores(starts: vec4<u32>, per_query_unit: vec4<f32>, key: u32) -> Scores {
    let unit = unit_of_key(key);
    let per_key_unit = inverse_of(unit);
    var scores = Scores();
    var i = 0u;
    loop {
        let numbers = query_numbers(starts, i);
        let own = vec4<f32>(keys[key + i]) * per_key_unit;
        scores = add_column(scores, numbers[0] * per_query_unit, own.x);
        scores = add_column(scores, numbers[1] * per_query_unit, own.y);
        scores = add_column(scores, numbers[2] * per_query_unit, own.z);
        scores = add_column(scores, numbers[3] * per_query_unit, own.w);
        continuing {
            i++;
            break if i >= p.head_size / 4u;
        }
    }
    return scaled_scores(scores, unit);
}
