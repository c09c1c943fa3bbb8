// The best of a workgroup's candidates: lowest score, kept in two parts, then lowest index.

struct Best {
    coarse: f32,
    fine: f32,
    index: u32,
}

var<workgroup> best: array<Best, WORKGROUP>;

fn better(a: Best, b: Best) -> Best {
    let ahead = (a.coarse - b.coarse) + (a.fine - b.fine);
    if (ahead < 0.0 || (ahead == 0.0 && a.index < b.index)) {
        return a;
    }
    return b;
}

// The best of the workgroup's. All invocations must call, with a barrier between two calls.
fn workgroup_best(lane: u32, own: Best) -> Best {
    best[lane] = own;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            best[lane] = better(best[lane], best[lane + half]);
        }
    }
    workgroupBarrier();
    return best[0];
}
