// The online softmax of tiles: row max and row sum of the invocation's rows, and weights instead of scores in its blocks.
//! use constants, weights, tiles, tile_products, shared_rows

// The state of four rows' softmax, and the factor on what was summed before the latest tile.
struct RowState {
    row_max: vec4<f32>,
    row_sum: vec4<f32>,
    correction: vec4<f32>,
}

var<private> rows0: RowState;
var<private> rows1: RowState;

fn begin_rows() {
    rows0 = RowState(vec4<f32>(LOWEST), vec4<f32>(), vec4<f32>());
    rows1 = rows0;
}

// Scaled products with four keys, each COLUMNS apart; LOWEST for keys beyond the `left` that exist from the first on.
fn spread_scores(products: mat4x4<f32>, scale: f32, left: i32) -> mat4x4<f32> {
    let lowest = vec4<f32>(LOWEST);
    return mat4x4<f32>(
        select(lowest, products[0] * scale, left > 0),
        select(lowest, products[1] * scale, left > 1 * KEY_STRIDE),
        select(lowest, products[2] * scale, left > 2 * KEY_STRIDE),
        select(lowest, products[3] * scale, left > 3 * KEY_STRIDE),
    );
}

// Scores of the products with the tile's keys from `first` on. Parts have the scale's sign and the biases already.
fn score_products(tile: TileCoords, block: BlockCoords, first: u32, in_parts: bool) {
    let scale = select(p.scale, abs(p.scale), in_parts);
    let key = first + block.column;
    let left = i32(all_keys()) - i32(key);
    s00 = spread_scores(s00, scale, left);
    if (KEY_VEC4S > 1u) { s01 = spread_scores(s01, scale, left - 4 * KEY_STRIDE); }
    if (ROW_VEC4S > 1u) { s10 = spread_scores(s10, scale, left); }
    if (KEY_VEC4S > 1u && ROW_VEC4S > 1u) { s11 = spread_scores(s11, scale, left - 4 * KEY_STRIDE); }
    if (HAS_BIASES && !in_parts) {
        s00 += score_biases(tile, block, key);
        if (KEY_VEC4S > 1u) { s01 += score_biases(tile, block, key + 4u * COLUMNS); }
    }
}

fn keep_row_max(half: u32, block: BlockCoords, scores0: mat4x4<f32>, scores1: mat4x4<f32>) {
    var row_max = row_max_of(scores0);
    if (KEY_VEC4S > 1u) { row_max = max(row_max, row_max_of(scores1)); }
    keep_rows(block.column, half, block.row, row_max);
}

fn raised(old: RowState, tile_max: vec4<f32>) -> RowState {
    let row_max = max(old.row_max, tile_max);
    let correction = exp(old.row_max - row_max);
    return RowState(row_max, old.row_sum * correction, correction);
}

// Turns scores into weights.
fn weigh(block: BlockCoords) {
    workgroupBarrier();
    keep_row_max(0u, block, s00, s01);
    if (ROW_VEC4S > 1u) { keep_row_max(ROW1, block, s10, s11); }
    workgroupBarrier();
    rows0 = raised(rows0, shared_row_max(0u, block.row));
    s00 = weights_of(s00, rows0.row_max);
    rows0.row_sum += row_sum_of(s00);
    if (KEY_VEC4S > 1u) {
        s01 = weights_of(s01, rows0.row_max);
        rows0.row_sum += row_sum_of(s01);
    }
    if (ROW_VEC4S > 1u) {
        rows1 = raised(rows1, shared_row_max(ROW1, block.row));
        s10 = weights_of(s10, rows1.row_max);
        rows1.row_sum += row_sum_of(s10);
    }
    if (KEY_VEC4S > 1u && ROW_VEC4S > 1u) {
        s11 = weights_of(s11, rows1.row_max);
        rows1.row_sum += row_sum_of(s11);
    }
}

// Shares the invocation's parts of row sums through the row tile.
fn share_row_sums(block: BlockCoords) {
    workgroupBarrier();
    keep_rows(block.column, 0u, block.row, rows0.row_sum);
    if (ROW_VEC4S > 1u) { keep_rows(block.column, ROW1, block.row, rows1.row_sum); }
    workgroupBarrier();
}
