// Windows of a grid of tokens: tile coordinates, positions and offsets.
//
// The grid [frames, rows, columns] is padded at its ends to whole windows and rolled by the shift: position (t, y, x) of the rolled grid holds
// token (t + shift, y + shift, x + shift), each modulo the padded size. Positions beyond the grid share one row of queries, keys and values.
//
// Workgroups are numbered ((batch * heads + h) * windows + w) * row_tiles + tile, with ROWS positions of the window in a tile.

// The token of a position beyond the grid.
const PADDING: u32 = 0xffffffffu;
// Added to scores between regions.
const MASK: f32 = -100.0;

fn window_size() -> vec3<u32> {
    return vec3<u32>(p.window_frames, p.window_rows, p.window_columns);
}

// Windows along each axis.
fn window_counts() -> vec3<u32> {
    return (vec3<u32>(p.frames, p.rows, p.columns) + window_size() - 1u) / window_size();
}

// Positions of a window.
fn window_positions() -> u32 {
    return p.window_frames * p.window_rows * p.window_columns;
}

// The tile of a workgroup.
struct TileCoords {
    batch: u32,
    head: u32,
    first_row: u32,
    // The window's first position in the rolled grid.
    corner: vec3<u32>,
}

fn tile_coords(number: u32) -> TileCoords {
    let row_tiles = (window_positions() + ROWS - 1u) / ROWS;
    let counts = window_counts();
    let window = number / row_tiles;
    let head = window / (counts.x * counts.y * counts.z);
    let at = vec3<u32>(window / (counts.y * counts.z) % counts.x, window / counts.z % counts.y, window % counts.z);
    return TileCoords(head / p.heads, head % p.heads, (number % row_tiles) * ROWS, at * window_size());
}

// A position of a window, in the rolled grid.
fn rolled_position(tile: TileCoords, position: u32) -> vec3<u32> {
    let row = position / p.window_columns;
    return tile.corner + vec3<u32>(row / p.window_rows, row % p.window_rows, position % p.window_columns);
}

// The token at a position of a window, or PADDING.
fn token_of(tile: TileCoords, position: u32) -> u32 {
    let padded = window_counts() * window_size();
    let moved = rolled_position(tile, position) + vec3<u32>(p.shift_frames, p.shift_rows, p.shift_columns);
    // No select: old versions of GLSL do not select integers.
    let at = moved - padded * vec3<u32>(moved >= padded);
    if (any(at >= vec3<u32>(p.frames, p.rows, p.columns))) {
        return PADDING;
    }
    return (at.x * p.rows + at.y) * p.columns + at.z;
}

fn query_start(tile: TileCoords, token: u32) -> u32 {
    if (token == PADDING) {
        return queries_extra_at(0u, tile.head);
    }
    return queries_at(tile.batch, tile.head, token);
}

fn token_start(tile: TileCoords, token: u32) -> u32 {
    return tokens_at(tile.batch, tile.head, token);
}

// Offset of a token's key.
fn key_of_token(tile: TileCoords, token: u32) -> u32 {
    if (token == PADDING) {
        return keys_extra_at(0u, tile.head);
    }
    return keys_at(tile.batch, tile.head, token);
}

fn value_of_token(tile: TileCoords, token: u32) -> u32 {
    if (token == PADDING) {
        return values_extra_at(0u, tile.head);
    }
    return values_at(tile.batch, tile.head, token);
}

// What a position's bias and mask depend on.
struct PositionCode {
    // The index of a query less that of a key, from the table's middle, is the index of their bias.
    index: u32,
    // Positions of different regions were not neighbours before the grid was rolled.
    region: u32,
}

// Table index of a position. If the window is smaller than the table's, the published code takes the first positions of the latter.
fn table_index(position: u32) -> u32 {
    let row = position / p.table_columns;
    let along_rows = row / p.table_rows * (2u * p.table_rows - 1u) + row % p.table_rows;
    return along_rows * (2u * p.table_columns - 1u) + position % p.table_columns;
}

fn position_code(tile: TileCoords, position: u32) -> PositionCode {
    let shift = vec3<u32>(p.shift_frames, p.shift_rows, p.shift_columns);
    let padded = window_counts() * window_size();
    let at = rolled_position(tile, position);
    let parts = vec3<u32>(at >= padded - window_size()) + vec3<u32>(at >= padded - shift);
    let regions = parts * vec3<u32>(shift > vec3<u32>());
    return PositionCode(table_index(position), (regions.x * 3u + regions.y) * 3u + regions.z);
}
