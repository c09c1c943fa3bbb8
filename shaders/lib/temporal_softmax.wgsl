// The softmax over the frames of a trajectory, in place: scores become weights.
//! use constants, exponential

fn softmax_in_place(start: u32) {
    var row_max = LOWEST;
    for (var frame = 0u; frame < p.frames; frame++) {
        row_max = max(row_max, weights[start + frame]);
    }
    var row_sum = 0.0;
    for (var frame = 0u; frame < p.frames; frame++) {
        let weight = exponential(weights[start + frame] - row_max);
        weights[start + frame] = weight;
        row_sum += weight;
    }
    for (var frame = 0u; frame < p.frames; frame++) {
        weights[start + frame] = weights[start + frame] / row_sum;
    }
}
