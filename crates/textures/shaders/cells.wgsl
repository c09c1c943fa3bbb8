// Mean colours of the cells that descriptors are made of: squares of a patch's side, half a side off the patches, so that neighbours share them.
//
//   cells[h,j,i] = mean of the pixels within edge(i) .. edge(i + 1), edge(j) .. edge(j + 1) of the frames of half h, 0 to 1
//   edge(i) = round(left + (i - 1.5) side), halves away from zero
//
// What is outside of the frame is left out; a cell that is wholly outside has the nearest pixels. Sums are whole numbers, so that they are exact.
// A workgroup a cell: [halves, rows + 3, columns + 3].

struct Params {
    grid: Grid,
    // Halves of a patch's frames, and frames of a half.
    halves: u32,
    half_frames: u32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scaled: array<u32>;
@group(0) @binding(2) var<storage, read_write> cells: array<vec4<f32>>;

var<workgroup> sums: array<vec3<u32>, 64>;

fn edge(first: i32, index: u32) -> i32 {
    let doubled = 2 * first + (2 * i32(index) - 3) * i32(p.grid.side);
    return (doubled + sign(doubled) * (doubled & 1)) / 2;
}

// First pixel, and the one behind the last.
fn inside(first: i32, index: u32, length: u32) -> vec2<u32> {
    let start = min(u32(max(edge(first, index), 0)), length - 1u);
    let end = min(u32(max(edge(first, index + 1u), 0)), length);
    return vec2<u32>(start, max(end, start + 1u));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup.y * grid.x + workgroup.x;
    let across = p.grid.columns + 3u;
    let down = p.grid.rows + 3u;
    let half = number / (across * down);
    // Idle workgroups reach the barriers.
    let is_cell = half < p.halves;
    let columns = inside(p.grid.left, number % across, p.grid.width);
    let rows = inside(p.grid.top, number / across % down, p.grid.height);
    let size = vec2<u32>(columns.y - columns.x, rows.y - rows.x);
    let first = half * p.half_frames;
    let frames = min(p.half_frames, p.grid.depth - min(first, p.grid.depth));
    var sum = vec3<u32>(0u);
    // An invocation a row: pixel by pixel, divisions would take longer than everything else.
    for (var i = lane; i < select(0u, size.y * frames, is_cell); i += 64u) {
        let row = (first + i / size.y) * p.grid.height + rows.x + i % size.y;
        for (var column = columns.x; column < columns.y; column++) {
            sum += channels(scaled[row * p.grid.width + column]);
        }
    }
    sums[lane] = sum;
    for (var step = 32u; step > 0u; step >>= 1u) {
        workgroupBarrier();
        if (lane < step) {
            sums[lane] += sums[lane + step];
        }
    }
    if (is_cell && lane == 0u) {
        cells[number] = vec4<f32>(vec3<f32>(sums[0]) / (f32(size.x * size.y * frames) * 255.0), 0.0);
    }
}
