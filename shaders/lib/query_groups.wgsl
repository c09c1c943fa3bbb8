// Tile coordinates and offsets of operands that the variants of attention weights share.
//
// Workgroups are numbered ((batch * groups + g) * heads + h) * row_tiles + tile, with ROWS rows in a tile.

// The tile of a workgroup.
struct TileCoords {
    batch: u32,
    head: u32,
    group: u32,
    first_row: u32,
}

fn tile_coords(number: u32) -> TileCoords {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let head = number / row_tiles;
    let group = head / p.heads;
    return TileCoords(group / p.groups, head % p.heads, group % p.groups, (number % row_tiles) * ROWS);
}

fn query_start(tile: TileCoords, row: u32) -> u32 {
    return queries_at(tile.batch, tile.head, tile.group, row);
}

fn key_start(tile: TileCoords, key: u32) -> u32 {
    return keys_at(tile.batch, tile.head, tile.group, key);
}

fn weight_start(tile: TileCoords, row: u32) -> u32 {
    return weights_at(tile.batch, tile.head, tile.group, row);
}
