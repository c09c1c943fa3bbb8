// Motion by block matching: where each patch's pixels are found again in every frame of its sub-clip.
//
//   motion[b,f,y,x,g] = (i, j) / side,   i, j whole numbers from -radius to radius that make the least
//   sum_{h,u,v} |pixel(h, f, y*side + v, x*side + u) - pixel(h, g, y*side + v + j, x*side + u + i)|
//
// over all blocks that are inside of frame g of the sub-clip. Of equal sums the shortest shift wins, then the least |j|, then j < 0 before j > 0,
// then i < 0 before i > 0. So nothing moves in a still scene, and in a patch's own frame the motion is exactly zero. A frame of the grid is the first
// of each `depth` frames of the clip. Pixels are brought back to whole numbers from 0 to 65,535, round(number * scale + shift) with a scale and a
// shift a channel, so that sums are exact; NaN becomes 0.
//
// Grid: a workgroup a patch and frame of its sub-clip, numbered (b * patches + patch) * sub_clip + g; its 64 invocations share the shifts. Limits:
// patches of at most 3,072 numbers, all loop turns of an invocation at most 61,440; no optional feature.

struct Params {
    batch: u32,
    channels: u32,
    frames: u32,             // of the grid
    grid_rows: u32,
    grid_columns: u32,
    depth: u32,              // frames of the clip in one of the grid
    side: u32,               // pixels
    sub_clip: u32,           // frames of the grid in a sub-clip
    radius: u32,             // pixels
    clip_offset: u32,        // offsets are in elements
    motion_offset: u32,
    red_scale: f32,          // from the clip's numbers to whole ones
    green_scale: f32,
    blue_scale: f32,
    red_shift: f32,
    green_shift: f32,
    blue_shift: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clip: array<StoredClip>;
@group(0) @binding(2) var<storage, read_write> motion: array<f32>;

// A shift as a pair of whole numbers, the sum of differences it comes to, and its rank among all shifts, which are different.
struct Match {
    sum: u32,
    rank: u32,
    i: i32,
    j: i32,
}

const NO_SUM: u32 = 0xffffffffu;

var<workgroup> patch_pixels: array<u32, 3072>;
var<workgroup> found: array<Match, 64>;

// The scale and shift of a channel.
fn to_whole(channel: u32) -> vec2<f32> {
    if (channel == 0u) {
        return vec2<f32>(p.red_scale, p.red_shift);
    }
    if (channel == 1u) {
        return vec2<f32>(p.green_scale, p.green_shift);
    }
    return vec2<f32>(p.blue_scale, p.blue_shift);
}

fn whole(number: f32, factors: vec2<f32>) -> u32 {
    let scaled = number * factors.x + factors.y;
    // NaN is told by its bits: as naga writes SPIR-V, it does not even differ from itself.
    let is_nan = (bitcast<u32>(scaled) & 0x7fffffffu) > 0x7f800000u;
    return u32(select(clamp(round(scaled), 0.0, 65535.0), 0.0, is_nan));
}

// Where line `line` of a block begins in the clip: lines are numbered channel by channel. `x`, `y`: the block's first pixel.
fn line_start(batch: u32, frame: u32, line: u32, x: u32, y: u32) -> u32 {
    let plane = ((batch * p.channels + line / p.side) * p.frames + frame) * p.depth;
    return p.clip_offset + (plane * p.grid_rows * p.side + y + line % p.side) * p.grid_columns * p.side + x;
}

fn sum_of_differences(batch: u32, frame: u32, x: u32, y: u32) -> u32 {
    var sum = 0u;
    for (var line = 0u; line < p.channels * p.side; line++) {
        let start = line_start(batch, frame, line, x, y);
        let factors = to_whole(line / p.side);
        for (var column = 0u; column < p.side; column++) {
            let here = whole(f32(clip[start + column]), factors);
            let there = patch_pixels[line * p.side + column];
            sum += max(here, there) - min(here, there);
        }
    }
    return sum;
}

// Shorter shifts first, then flatter ones, then up before down and left before right.
fn rank_of(i: i32, j: i32) -> u32 {
    return ((u32(i * i + j * j) * 128u + u32(abs(j))) * 2u + u32(j > 0)) * 2u + u32(i > 0);
}

fn better(a: Match, b: Match) -> bool {
    return a.sum < b.sum || (a.sum == b.sum && a.rank < b.rank);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let places = p.grid_rows * p.grid_columns;
    let cuboid = number / p.sub_clip;
    let batch = cuboid / places / p.frames;
    // The same for the whole workgroup.
    if (batch >= p.batch) {
        return;
    }
    let own = cuboid / places % p.frames;
    let other = own / p.sub_clip * p.sub_clip + number % p.sub_clip;
    let x = cuboid % p.grid_columns * p.side;
    let y = cuboid % places / p.grid_columns * p.side;
    for (var line = lane; line < p.channels * p.side; line += 64u) {
        let start = line_start(batch, own, line, x, y);
        let factors = to_whole(line / p.side);
        for (var column = 0u; column < p.side; column++) {
            patch_pixels[line * p.side + column] = whole(f32(clip[start + column]), factors);
        }
    }
    workgroupBarrier();

    let across = 2u * p.radius + 1u;
    var best = Match(NO_SUM, NO_SUM, 0, 0);
    for (var candidate = lane; candidate < across * across; candidate += 64u) {
        let i = i32(candidate % across) - i32(p.radius);
        let j = i32(candidate / across) - i32(p.radius);
        let left = i32(x) + i;
        let top = i32(y) + j;
        let is_inside = left >= 0 && left <= i32((p.grid_columns - 1u) * p.side) && top >= 0 && top <= i32((p.grid_rows - 1u) * p.side);
        if (own != other && is_inside) {
            let match_here = Match(sum_of_differences(batch, other, u32(left), u32(top)), rank_of(i, j), i, j);
            if (better(match_here, best)) {
                best = match_here;
            }
        }
    }
    found[lane] = best;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half && better(found[lane + half], found[lane])) {
            found[lane] = found[lane + half];
        }
    }
    // After its last step the first invocation has written what it reads.
    if (lane == 0u) {
        let at = p.motion_offset + number * 2u;
        motion[at] = f32(found[0].i) / f32(p.side);
        motion[at + 1u] = f32(found[0].j) / f32(p.side);
    }
}
