// Offsets of queries that are read as vectors (lib/vectors.wgsl). Needs the struct TileCoords with query_start(tile, row).

// Offsets, in vectors, of four queries from `row`; the last one again beyond the end.
fn query_offsets4(tile: TileCoords, row: u32) -> vec4<u32> {
    let a = query_start(tile, min(row, p.rows - 1u));
    let b = query_start(tile, min(row + 1u, p.rows - 1u));
    let c = query_start(tile, min(row + 2u, p.rows - 1u));
    let d = query_start(tile, min(row + 3u, p.rows - 1u));
    return vec4<u32>(a, b, c, d) / 4u;
}
