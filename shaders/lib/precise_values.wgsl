// Four rows of segmented attention by precise scores, key by key. Needs LANES, and `sum` with a vector of four rows at
// [element * LANES + lane].
//! use constants, precise, segments
//! vec4 values

// Sums the weighted values of four rows in `sum`. Returns their row sums.
fn attend_precisely(tile: TileCoords, query_offsets: vec4<u32>, lane: u32, query_squares: vec4<f32>) -> vec4<f32> {
    let units = units_of(query_squares);
    let per_unit = inverses_of(units) * sign(p.scale);
    let scale = abs(p.scale) * units;
    var row_max = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var row_sum = vec4<f32>();
    var key = 0u;
    loop {
        let scores = precise_scores(query_offsets, per_unit, key_start(tile, key) / 4u);
        let new_max = higher_of(row_max, scores);
        let weights = exp(scale * excess_of(scores, new_max));
        let correction = exp(scale * excess_of(row_max, new_max));
        let value = value_start(tile, key) / 4u;
        var i = 0u;
        loop {
            let at = i * 4u * LANES + lane;
            let value_elements = vec4<f32>(values[value + i]);
            sum[at] = sum[at] * correction + weights * value_elements.x;
            sum[at + LANES] = sum[at + LANES] * correction + weights * value_elements.y;
            sum[at + 2u * LANES] = sum[at + 2u * LANES] * correction + weights * value_elements.z;
            sum[at + 3u * LANES] = sum[at + 3u * LANES] * correction + weights * value_elements.w;
            continuing {
                i++;
                break if i >= p.value_size / 4u;
            }
        }
        row_sum = row_sum * correction + weights;
        row_max = new_max;
        continuing {
            key++;
            break if key >= all_keys();
        }
    }
    return row_sum;
}
