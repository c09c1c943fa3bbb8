// Windows of a grid of tokens: where the tokens of a window lie.
//
// The grid [frames, rows, columns] is padded at its ends to whole windows and rolled by the shift: place (t, y, x) of the rolled grid holds token
// (t + shift, y + shift, x + shift), each modulo the padded size. Places beyond the grid share one row of queries, keys and values.
//
// Workgroups are numbered ((batch * heads + h) * windows + w) * row_tiles + tile, with ROWS places of the window in a tile.

// What a place beyond the grid has in place of a token.
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

// Places of a window.
fn window_places() -> u32 {
    return p.window_frames * p.window_rows * p.window_columns;
}

// Which part of the work a workgroup has.
struct Work {
    batch: u32,
    head: u32,
    first_row: u32,
    // The window's first place in the rolled grid.
    corner: vec3<u32>,
}

fn work_of(number: u32) -> Work {
    let row_tiles = (window_places() + ROWS - 1u) / ROWS;
    let counts = window_counts();
    let window = number / row_tiles;
    let head = window / (counts.x * counts.y * counts.z);
    let at = vec3<u32>(window / (counts.y * counts.z) % counts.x, window / counts.z % counts.y, window % counts.z);
    return Work(head / p.heads, head % p.heads, (number % row_tiles) * ROWS, at * window_size());
}

// A place of a window in the rolled grid.
fn rolled_place(work: Work, place: u32) -> vec3<u32> {
    let row = place / p.window_columns;
    return work.corner + vec3<u32>(row / p.window_rows, row % p.window_rows, place % p.window_columns);
}

// The token at a place of a window, or PADDING.
fn token_of(work: Work, place: u32) -> u32 {
    let padded = window_counts() * window_size();
    let moved = rolled_place(work, place) + vec3<u32>(p.shift_frames, p.shift_rows, p.shift_columns);
    // Nothing is selected here: old versions of GLSL do not select integers.
    let at = moved - padded * vec3<u32>(moved >= padded);
    if (any(at >= vec3<u32>(p.frames, p.rows, p.columns))) {
        return PADDING;
    }
    return (at.x * p.rows + at.y) * p.columns + at.z;
}

fn query_start(work: Work, token: u32) -> u32 {
    if (token == PADDING) {
        return queries_extra_at(0u, work.head);
    }
    return queries_at(work.batch, work.head, token);
}

fn token_start(work: Work, token: u32) -> u32 {
    return tokens_at(work.batch, work.head, token);
}

// Where a token's key starts.
fn key_of_token(work: Work, token: u32) -> u32 {
    if (token == PADDING) {
        return keys_extra_at(0u, work.head);
    }
    return keys_at(work.batch, work.head, token);
}

fn value_of_token(work: Work, token: u32) -> u32 {
    if (token == PADDING) {
        return values_extra_at(0u, work.head);
    }
    return values_at(work.batch, work.head, token);
}

// What a place's bias and mask depend on.
struct Place {
    // Of a query less that of a key, from the table's middle: the number of their bias.
    number: u32,
    // Places of different regions were not neighbours before the grid was rolled.
    region: u32,
}

// A place by its number alone: where the window is smaller than the table's, the published code takes the first places of the latter.
fn table_number(place: u32) -> u32 {
    let row = place / p.table_columns;
    let along_rows = row / p.table_rows * (2u * p.table_rows - 1u) + row % p.table_rows;
    return along_rows * (2u * p.table_columns - 1u) + place % p.table_columns;
}

fn place_of(work: Work, place: u32) -> Place {
    let shift = vec3<u32>(p.shift_frames, p.shift_rows, p.shift_columns);
    let padded = window_counts() * window_size();
    let at = rolled_place(work, place);
    let parts = vec3<u32>(at >= padded - window_size()) + vec3<u32>(at >= padded - shift);
    let regions = parts * vec3<u32>(shift > vec3<u32>());
    return Place(table_number(place), (regions.x * 3u + regions.y) * 3u + regions.z);
}
