// Weights, row max and row sum that the invocations of a row share through the row tile.
//! use tiles

// A line of the tile, its vectors permuted so that four neighbouring lines are stored without bank conflicts.
fn keep_rows(slice: u32, half: u32, row: u32, elements: vec4<f32>) {
    row_tile[slice / 4u][slice % 4u][half][row ^ (2u * (slice % 4u))] = elements;
}

fn kept_rows(slice: u32, half: u32, row: u32) -> vec4<f32> {
    return row_tile[slice / 4u][slice % 4u][half][row ^ (2u * (slice % 4u))];
}

// The largest of the vectors that the invocations of four rows keep.
fn shared_row_max(half: u32, row: u32) -> vec4<f32> {
    let first = max(max(kept_rows(0u, half, row), kept_rows(1u, half, row)), max(kept_rows(2u, half, row), kept_rows(3u, half, row)));
    let last = max(max(kept_rows(4u, half, row), kept_rows(5u, half, row)), max(kept_rows(6u, half, row), kept_rows(7u, half, row)));
    return max(first, last);
}

fn shared_row_sum(half: u32, row: u32) -> vec4<f32> {
    let first = (kept_rows(0u, half, row) + kept_rows(1u, half, row)) + (kept_rows(2u, half, row) + kept_rows(3u, half, row));
    let last = (kept_rows(4u, half, row) + kept_rows(5u, half, row)) + (kept_rows(6u, half, row) + kept_rows(7u, half, row));
    return first + last;
}
