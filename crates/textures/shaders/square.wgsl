// The square of a picture that a network sees: scaled between the two nearest rows and columns, cut, its colours normalised.
//
//   square[c,y,x] = mix of table[c, picture(..)] over two rows and two columns
//
// An invocation a pixel. `neighbours` has a row for each column, then for each row: the first, the second, and the share of the second.

struct Params {
    source: Source,
    // Side of the square, pixels.
    size: u32,
    // Where the first channel begins, and from one to the next, elements.
    offset: u32,
    stride: u32,
    // Whether blue comes first.
    is_reversed: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> neighbours: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;
@group(0) @binding(5) var<storage, read_write> square: array<f32>;

fn normalised(column: u32, row: u32) -> vec3<f32> {
    let steps = vec3<u32>(colour_at(column, row));
    return vec3<f32>(table[steps.r], table[256u + steps.g], table[512u + steps.b]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = pixel_of(workgroup, lane);
    if (pixel.x >= p.size) {
        return;
    }
    let column = 3u * pixel.x;
    let row = 3u * (p.size + pixel.y);
    let across = bitcast<f32>(neighbours[column + 2u]);
    let down = bitcast<f32>(neighbours[row + 2u]);
    let columns = vec2<u32>(neighbours[column], neighbours[column + 1u]);
    let rows = vec2<u32>(neighbours[row], neighbours[row + 1u]);
    let upper = (1.0 - across) * normalised(columns.x, rows.x) + across * normalised(columns.y, rows.x);
    let lower = (1.0 - across) * normalised(columns.x, rows.y) + across * normalised(columns.y, rows.y);
    let colour = (1.0 - down) * upper + down * lower;
    let first = select(colour.r, colour.b, p.is_reversed != 0u);
    let last = select(colour.b, colour.r, p.is_reversed != 0u);
    let to = p.offset + pixel.y * p.size + pixel.x;
    square[to] = first;
    square[to + p.stride] = colour.g;
    square[to + 2u * p.stride] = last;
}
