// Tile coordinates of the matrix product.

struct TileCoords {
    batch: u32,
    group: u32,
    first_row: u32,
    first_output: u32,
}

// Workgroups are numbered ((batch * groups + group) * row_tiles + row_tile) * output_tiles + output_tile, with `rows` x `outputs` in a tile.
fn tile_coords(number: u32, rows: u32, outputs: u32) -> TileCoords {
    let output_tiles = (p.outputs + outputs - 1u) / outputs;
    let row_tiles = (p.rows + rows - 1u) / rows;
    let group = number / output_tiles / row_tiles;
    return TileCoords(group / p.groups, group % p.groups, number / output_tiles % row_tiles * rows, number % output_tiles * outputs);
}
