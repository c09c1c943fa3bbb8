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
    var highest = kept_rows(0u, half, row);
    for (var column = 1u; column < COLUMNS; column++) {
        highest = max(highest, kept_rows(column, half, row));
    }
    return highest;
}

fn shared_row_sum(half: u32, row: u32) -> vec4<f32> {
    var sum = kept_rows(0u, half, row);
    for (var column = 1u; column < COLUMNS; column++) {
        sum += kept_rows(column, half, row);
    }
    return sum;
}
