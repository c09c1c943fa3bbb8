// Scores of four rows to more than float32, key by key, for rows whose logits exceed the bound of plain float32 scores (lib/scores.wgsl).
// Scores are split as in lib/score.wgsl.
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

// The unit of a key. Four vectors an iteration, because drivers limit iterations; the last vector again beyond the end.
fn unit_of_key(key: u32) -> f32 {
    let last = key + p.head_size / 4u - 1u;
    var magnitude = 0.0;
    var at = key;
    loop {
        let low = max(largest(vec4<f32>(keys[at])), largest(vec4<f32>(keys[min(at + 1u, last)])));
        let high = max(largest(vec4<f32>(keys[min(at + 2u, last)])), largest(vec4<f32>(keys[min(at + 3u, last)])));
        magnitude = max(magnitude, max(low, high));
        continuing {
            at += 4u;
            break if at > last;
        }
    }
    return unit_of(magnitude);
}

// Scores of four queries with the key that begins at vector `key`, in the queries' units.
fn precise_scores(query_offsets: vec4<u32>, per_query_unit: vec4<f32>, key: u32) -> Scores {
    let unit = unit_of_key(key);
    let per_key_unit = inverse_of(unit);
    var scores = Scores();
    var i = 0u;
    loop {
        let elements = query_elements(query_offsets, i);
        let own = vec4<f32>(keys[key + i]) * per_key_unit;
        scores = add_column(scores, elements[0] * per_query_unit, own.x);
        scores = add_column(scores, elements[1] * per_query_unit, own.y);
        scores = add_column(scores, elements[2] * per_query_unit, own.z);
        scores = add_column(scores, elements[3] * per_query_unit, own.w);
        continuing {
            i++;
            break if i >= p.head_size / 4u;
        }
    }
    return scaled_scores(scores, unit);
}
