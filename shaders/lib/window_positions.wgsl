// Tokens and position codes of a window in workgroup memory, found once. Needs LANES (invocations) and POSITIONS (of a window).
//! use windows

var<workgroup> position_tokens: array<u32, POSITIONS>;
// Table index of a position, and in the lowest five bits its region.
var<workgroup> position_codes: array<u32, POSITIONS>;

fn packed(position: PositionCode) -> u32 {
    return position.index * 32u + position.region;
}

// Each invocation finds a run of positions. All must call.
fn stage_positions(tile: TileCoords, lane: u32) {
    let each = (POSITIONS + LANES - 1u) / LANES;
    for (var i = 0u; i < each; i++) {
        let position = lane * each + i;
        if (position < POSITIONS) {
            position_tokens[position] = token_of(tile, position);
            position_codes[position] = packed(position_code(tile, position));
        }
    }
    workgroupBarrier();
}

// Four queries of an invocation.
struct QueryPositions {
    tokens: vec4<u32>,
    // Offsets into the table, to which a key's index is applied, and regions.
    biases: vec4<u32>,
    regions: vec4<u32>,
}

fn four_codes(position: u32) -> vec4<u32> {
    let at = min(vec4<u32>(position) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(POSITIONS - 1u));
    return vec4<u32>(position_codes[at.x], position_codes[at.y], position_codes[at.z], position_codes[at.w]);
}

fn query_positions(tile: TileCoords, position: u32) -> QueryPositions {
    let at = min(vec4<u32>(position) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(POSITIONS - 1u));
    let codes = four_codes(position);
    let middle = table_index(p.table_frames * p.table_rows * p.table_columns - 1u);
    return QueryPositions(
        vec4<u32>(position_tokens[at.x], position_tokens[at.y], position_tokens[at.z], position_tokens[at.w]),
        (codes / 32u + middle) * p.table.stride.x + p.table.offset + tile.head,
        codes % 32u,
    );
}

// Bias and mask of four queries with the key of this code.
fn bias_of(own: QueryPositions, code: u32) -> vec4<f32> {
    let at = own.biases - code / 32u * p.table.stride.x;
    let biases = vec4<f32>(f32(table[at.x]), f32(table[at.y]), f32(table[at.z]), f32(table[at.w]));
    return biases + select(vec4<f32>(MASK), vec4<f32>(), own.regions == vec4<u32>(code % 32u));
}

// The same for four keys: a column a key.
fn biases_of(own: QueryPositions, codes: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(bias_of(own, codes.x), bias_of(own, codes.y), bias_of(own, codes.z), bias_of(own, codes.w));
}
