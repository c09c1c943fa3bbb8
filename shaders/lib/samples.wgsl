// Positions of samples of deformable attention, in a grid of grid_rows x grid_columns patches with `samples` in each frame of a sub-clip.
//! use nan

// The four patches round a sample: indices of their tokens, or NOWHERE outside of the grid, and their shares.
struct Corners {
    tokens: vec4<u32>,
    shares: vec4<f32>,
}

const NOWHERE: u32 = 0xffffffffu;
// Displacements beyond this are outside of every grid; a float32 still holds every integer up to it.
const FARTHEST: f32 = 16777216.0;

// The token at a position of the frame whose first token is `first`.
fn token_at(first: u32, x: i32, y: i32) -> u32 {
    let is_inside = x >= 0 && x < i32(p.grid_columns) && y >= 0 && y < i32(p.grid_rows);
    return select(NOWHERE, first + u32(y) * p.grid_columns + u32(x), is_inside);
}

// The corners of sample `sample` of the sub-clip of `token`, displaced by (dx, dy). Shares come from the fraction of a displacement alone, so
// that they are as exact far from the grid's first patch. A NaN displacement gives a share of NaN.
fn corners_of(token: u32, sample: u32, dx: f32, dy: f32) -> Corners {
    let positions = p.grid_rows * p.grid_columns;
    let frame = token / positions / p.sub_clip * p.sub_clip + sample / p.samples;
    let first = frame * positions;
    if (is_nan(dx) || is_nan(dy)) {
        let nan = select(dy, dx, is_nan(dx));
        return Corners(vec4<u32>(first, NOWHERE, NOWHERE, NOWHERE), vec4<f32>(nan));
    }
    let near = clamp(vec2<f32>(dx, dy), vec2<f32>(-FARTHEST), vec2<f32>(FARTHEST));
    let whole = floor(near);
    let right = near - whole;
    let left = 1.0 - right;
    let position = token % positions;
    let x = i32(position % p.grid_columns) + i32(whole.x);
    let y = i32(position / p.grid_columns) + i32(whole.y);
    return Corners(
        vec4<u32>(
            token_at(first, x, y),
            token_at(first, x + 1, y),
            token_at(first, x, y + 1),
            token_at(first, x + 1, y + 1),
        ),
        vec4<f32>(left.x * left.y, right.x * left.y, left.x * right.y, right.x * right.y),
    );
}
