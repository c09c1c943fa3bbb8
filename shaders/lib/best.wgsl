// The best of 64 candidates: lowest score, kept in two parts, then lowest place.

struct Best {
    coarse: f32,
    fine: f32,
    place: u32,
}

var<workgroup> best: array<Best, 64>;

fn better(a: Best, b: Best) -> Best {
    let ahead = (a.coarse - b.coarse) + (a.fine - b.fine);
    if (ahead < 0.0 || (ahead == 0.0 && a.place < b.place)) {
        return a;
    }
    return b;
}

// The best of the workgroup's. All invocations have to call, and a barrier has to lie between two calls.
fn workgroup_best(lane: u32, own: Best) -> Best {
    best[lane] = own;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            best[lane] = better(best[lane], best[lane + half]);
        }
    }
    workgroupBarrier();
    return best[0];
}
