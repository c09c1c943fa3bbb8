// Offsets of queries that are read as vectors (lib/vectors.wgsl). Needs the struct Work with query_start(work, row).

// Offsets, in vectors, of four queries from `row`; the last one again where there are no more.
fn query_offsets4(work: Work, row: u32) -> vec4<u32> {
    let a = query_start(work, min(row, p.rows - 1u));
    let b = query_start(work, min(row + 1u, p.rows - 1u));
    let c = query_start(work, min(row + 2u, p.rows - 1u));
    let d = query_start(work, min(row + 3u, p.rows - 1u));
    return vec4<u32>(a, b, c, d) / 4u;
}
