// Four rows of segmented attention by precise scores, key by key. Needs LANES, and `sum` with a vector of four rows at
// [element * LANES + lane].
//! use constants, precise, segments
//! vec4 values

// Sums the values of four rows up in `sum`; their total weights.
fn attend_precisely(work: Work, starts: vec4<u32>, lane: u32, query_squares: vec4<f32>) -> vec4<f32> {
    let units = units_of(query_squares);
    let per_unit = inverses_of(units) * sign(p.scale);
    let scale = abs(p.scale) * units;
    var peak = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var total = vec4<f32>();
    var number = 0u;
    loop {
        let scores = precise_scores(starts, per_unit, key_start(work, number) / 4u);
        let new_peak = higher_of(peak, scores);
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
            break if number >= all_keys();
        }
    }
    return total;
}
