// Four rows of segmented attention with scores to more than float32, key by key: what a variant with plain float32 scores falls back to
// where those would not do (lib/scores.wgsl).
// Scores are split as in lib/score.wgsl. Needs lib/constants.wgsl, lib/score.wgsl, lib/scores.wgsl,
// lib/segments.wgsl, lib/vectors.wgsl, LANES, and `sum` with a vector of four rows at [number * LANES + lane].

fn add_column(scores: Scores, queries_in_units: vec4<f32>, key: f32) -> Scores {
    let coarse_query = round(queries_in_units);
    let coarse_key = round(key);
    let fine = coarse_query * (key - coarse_key) + (queries_in_units - coarse_query) * key;
    return Scores(scores.coarse + coarse_query * coarse_key, scores.fine + fine);
}

// The unit of a key. Four vectors a turn, because drivers count turns; the last one again where there are no more.
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

// Sums the values of four rows up in `sum`; their total weights.
fn attend_precisely(work: Work, starts: vec4<u32>, lane: u32, query_squares: vec4<f32>) -> vec4<f32> {
    let lengths = sqrt(query_squares);
    let units = vec4<f32>(unit_of(lengths.x), unit_of(lengths.y), unit_of(lengths.z), unit_of(lengths.w));
    let inverses = vec4<f32>(inverse_of(units.x), inverse_of(units.y), inverse_of(units.z), inverse_of(units.w));
    let scale = abs(p.scale) * units;
    var peak = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var total = vec4<f32>();
    var number = 0u;
    loop {
        let scores = precise_scores(starts, inverses * sign(p.scale), key_start(work, number) / 4u);
        let above = excess_of(scores, peak) > vec4<f32>();
        let new_peak = Scores(select(peak.coarse, scores.coarse, above), select(peak.fine, scores.fine, above));
        let weights = exp(scale * excess_of(scores, new_peak));
        let shrink = exp(scale * excess_of(peak, new_peak));
        let value = value_start(work, number) / 4u;
        var i = 0u;
        loop {
            let at = i * 4u * LANES + lane;
            let numbers = vec4<f32>(values[value + i]);
            sum[at] = sum[at] * shrink + weights * numbers.x;
            sum[at + LANES] = sum[at + LANES] * shrink + weights * numbers.y;
            sum[at + 2u * LANES] = sum[at + 2u * LANES] * shrink + weights * numbers.z;
            sum[at + 3u * LANES] = sum[at + 3u * LANES] * shrink + weights * numbers.w;
            continuing {
                i++;
                break if i >= p.value_size / 4u;
            }
        }
        total = total * shrink + weights;
        peak = new_peak;
        continuing {
            number++;
            break if number >= p.keys + p.extra_keys;
        }
    }
    return total;
}
