// The softmax over the frames of a trajectory, of scores that lie where the weights go. Needs lib/constants.wgsl,
// lib/exponential.wgsl, lib/temporal_weights_params.wgsl and the binding `weights`.

fn softmax_in_place(start: u32) {
    var peak = LOWEST;
    for (var frame = 0u; frame < p.frames; frame++) {
        peak = max(peak, weights[start + frame]);
    }
    var total = 0.0;
    for (var frame = 0u; frame < p.frames; frame++) {
        let weight = exponential(weights[start + frame] - peak);
        weights[start + frame] = weight;
        total += weight;
    }
    for (var frame = 0u; frame < p.frames; frame++) {
        weights[start + frame] = weights[start + frame] / total;
    }
}
