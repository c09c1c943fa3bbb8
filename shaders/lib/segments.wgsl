// Tile coordinates and offsets of operands that the variants of segmented attention share.
//
// Workgroups are numbered (((batch * groups + g) * heads + h) * segments + f) * row_tiles + tile, with ROWS rows in a tile.

// The tile of a workgroup.
struct TileCoords {
    batch: u32,
    head: u32,
    group: u32,
    segment: u32,
    first_row: u32,
}

fn tile_coords(number: u32) -> TileCoords {
    let row_tiles = (p.rows + ROWS - 1u) / ROWS;
    let segment = number / row_tiles;
    let head = segment / p.segments;
    let group = head / p.heads;
    return TileCoords(group / p.groups, head % p.heads, group % p.groups, segment % p.segments, (number % row_tiles) * ROWS);
}

fn query_start(tile: TileCoords, row: u32) -> u32 {
    return queries_at(tile.batch, tile.head, tile.group, row);
}

fn token_start(tile: TileCoords, row: u32) -> u32 {
    return tokens_at(tile.batch, tile.head, tile.group, row, tile.segment);
}

// Keys of a segment, the extra one included.
fn all_keys() -> u32 {
    return p.key_count + p.extra_keys;
}

// Offset of a key (or its value); the extra key comes before the segment's own.
fn key_start(tile: TileCoords, key: u32) -> u32 {
    if (key < p.extra_keys) {
        return keys_extra_at(tile.batch, tile.head);
    }
    return keys_at(tile.batch, tile.head, tile.group, tile.segment, key - p.extra_keys);
}

fn value_start(tile: TileCoords, key: u32) -> u32 {
    if (key < p.extra_keys) {
        return values_extra_at(tile.batch, tile.head);
    }
    return values_at(tile.batch, tile.head, tile.group, tile.segment, key - p.extra_keys);
}
