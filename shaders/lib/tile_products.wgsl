// Register blocks of attention's scores, from the tiles of lib/tiles.wgsl.
//
// Scores are plain float32. Where the logits of any row exceed the bound (lib/scores.wgsl) they are computed anew in parts (lib/tile_parts.wgsl),
// by the same loops: whatever else needed registers of its own would take them from every workgroup.
//! use blocks, tiles, tile_parts

// Scores, then weights, of the first and second four rows with the first and second four keys: a column a key, a component a row. Key i of the
// n-th four is key (4 n + i) COLUMNS + column of the tile, so that each slice of 16 values has as many of every invocation's weights.
var<private> s00: mat4x4<f32>;
var<private> s01: mat4x4<f32>;
var<private> s10: mat4x4<f32>;
var<private> s11: mat4x4<f32>;

// Adds element 4 quad + i of the slice to the products of queries and keys.
fn add_element(quad: u32, i: u32, row: u32, column: u32) {
    let queries0 = row_tile[quad][i][0][row];
    let queries1 = row_tile[quad][i][ROW1][row];
    let keys0 = column_tile[quad][i][0][column];
    let keys1 = column_tile[quad][i][KEY1][column];
    s00 = add_products(s00, keys0, queries0);
    if (KEY_VEC4S > 1u) { s01 = add_products(s01, keys1, queries0); }
    if (ROW_VEC4S > 1u) { s10 = add_products(s10, keys0, queries1); }
    if (KEY_VEC4S > 1u && ROW_VEC4S > 1u) { s11 = add_products(s11, keys1, queries1); }
}

// Adds the products of a part of the queries with a part of the tile's keys.
fn multiply_part(block: BlockCoords, at: Brought, first: u32, part: u32) {
    let vectors = p.head_size / 4u;
    for (var vector = 0u; vector < vectors; vector += 4u) {
        stage(block, at, vector, part, first == 0u && part == PLAIN);
        let quads = min(4u, vectors - vector);
        for (var quad = 0u; quad < quads; quad++) {
            let row = block.row ^ (2u * quad);
            let column = block.column ^ (2u * quad);
            add_element(quad, 0u, row, column);
            add_element(quad, 1u, row, column);
            add_element(quad, 2u, row, column);
            add_element(quad, 3u, row, column);
        }
    }
}

// Products of all queries with the tile's keys, or in parts their excess over the rows' bases.
fn multiply_keys(tile: TileCoords, block: BlockCoords, first: u32, in_parts: bool) {
    let at = brought(tile, block, first);
    s00 = mat4x4<f32>();
    s01 = mat4x4<f32>();
    s10 = mat4x4<f32>();
    s11 = mat4x4<f32>();
    if (in_parts) {
        measure_keys(block, at.keys);
    }
    var part = select(PLAIN, COARSE, in_parts);
    loop {
        multiply_part(block, at, first, part);
        if (part == COARSE) {
            subtract_bases(tile, block, first);
        }
        if (part == select(PLAIN, FINE_QUERIES, in_parts)) {
            break;
        }
        part++;
    }
    if (BRINGS_BOTH) {
        longest = max(longest, key_square);
        key_square = vec4<f32>();
    } else if (block.lane >= ROWS) {
        longest = max(longest, square);
        square = vec4<f32>();
    }
}
