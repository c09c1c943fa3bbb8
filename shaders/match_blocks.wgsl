// Motion by block matching: where each patch's pixels are found again in every frame of its sub-clip.
//
//   motion[b,f,y,x,g] = (i, j) / side,   i, j integers from -radius to radius that minimise
//   sum_{h,u,v} |pixel(h, f, y*side + v, x*side + u) - pixel(h, g, y*side + v + j, x*side + u + i)|
//
// over all blocks inside of frame g of the sub-clip. Of equal sums the shortest shift wins, then the least |j|, then j < 0 before j > 0,
// then i < 0 before i > 0. So nothing moves in a still scene, and in a patch's own frame the motion is exactly zero. Frames are those of the
// grid: where a patch has several of the clip's, the view of `clip` has the first of them. Pixels become integers from 0 to 65,535,
// round(value * scale + shift) with a scale and a shift a channel, so that sums are exact; NaN becomes 0.
//
// Grid: a workgroup a patch and frame of its sub-clip, numbered (b * patches + patch) * sub_clip + g; its 64 invocations share the shifts.
// Limits: patches of at most 3,072 values; no optional feature.
//! use grid, nan

// A shift in pixels, its sum of differences, and its rank, which differs from that of any other shift.
struct Match {
    sum: u32,
    rank: u32,
    i: i32,
    j: i32,
}

const NO_SUM: u32 = 0xffffffffu;

var<workgroup> patch_pixels: array<u32, MAX_MATCHED_VALUES>;
var<workgroup> found: array<Match, WORKGROUP>;

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

fn whole(value: f32, factors: vec2<f32>) -> u32 {
    let scaled = value * factors.x + factors.y;
    return u32(select(clamp(round(scaled), 0.0, 65535.0), 0.0, is_nan(scaled)));
}

// Where line `line` of a block begins in the clip: lines are numbered channel by channel. `x`, `y`: the block's first pixel.
fn line_start(batch: u32, frame: u32, line: u32, x: u32, y: u32) -> u32 {
    return clip_at(batch, line / p.side, frame, y + line % p.side) + x;
}

// A pixel of the line that begins at `start`, or the one nearest to it where there is none.
fn pixel(start: u32, x: i32, factors: vec2<f32>) -> u32 {
    let inside = u32(clamp(x, 0, i32(p.grid_columns * p.side) - 1));
    return whole(f32(clip[start + inside]), factors);
}

// Differences of the patch from four blocks side by side, whose first pixels are (left, top), (left + 1, top), ...
fn differences(batch: u32, frame: u32, left: i32, top: u32) -> vec4<u32> {
    var sums = vec4<u32>();
    for (var line = 0u; line < p.channels * p.side; line++) {
        let start = line_start(batch, frame, line, 0u, top);
        let factors = to_whole(line / p.side);
        var here = vec4<u32>(0u, pixel(start, left, factors), pixel(start, left + 1, factors), pixel(start, left + 2, factors));
        for (var column = 0u; column < p.side; column++) {
            here = vec4<u32>(here.yzw, pixel(start, left + i32(column) + 3, factors));
            let there = vec4<u32>(patch_pixels[line * p.side + column]);
            sums += max(here, there) - min(here, there);
        }
    }
    return sums;
}

// Shorter shifts first, then flatter ones, then up before down and left before right.
fn rank_of(i: i32, j: i32) -> u32 {
    return ((u32(i * i + j * j) * (MAX_RADIUS + 1u) + u32(abs(j))) * 2u + u32(j > 0)) * 2u + u32(i > 0);
}

fn better(a: Match, b: Match) -> bool {
    return a.sum < b.sum || (a.sum == b.sum && a.rank < b.rank);
}

// The better of the best match so far and this shift, if the block that begins at `left` is inside of the frame.
fn considered(best: Match, sum: u32, i: i32, j: i32, left: i32) -> Match {
    let candidate = Match(sum, rank_of(i, j), i, j);
    let is_inside = i <= i32(p.radius) && left >= 0 && left <= i32((p.grid_columns - 1u) * p.side);
    if (is_inside && better(candidate, best)) {
        return candidate;
    }
    return best;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let positions = p.grid_rows * p.grid_columns;
    let own_patch = number / p.sub_clip;
    let batch = own_patch / positions / p.frames;
    // The same for the whole workgroup.
    if (batch >= p.batch) {
        return;
    }
    let own = own_patch / positions % p.frames;
    let other = own / p.sub_clip * p.sub_clip + number % p.sub_clip;
    let column = own_patch % p.grid_columns;
    let row = own_patch % positions / p.grid_columns;
    let x = column * p.side;
    let y = row * p.side;
    for (var line = lane; line < p.channels * p.side; line += WORKGROUP) {
        let start = line_start(batch, own, line, x, y);
        let factors = to_whole(line / p.side);
        for (var i = 0u; i < p.side; i++) {
            patch_pixels[line * p.side + i] = whole(f32(clip[start + i]), factors);
        }
    }
    workgroupBarrier();

    // Four shifts side by side share what is loaded.
    let across = 2u * p.radius + 1u;
    let shift_groups = (across + 3u) / 4u;
    var best = Match(NO_SUM, NO_SUM, 0, 0);
    for (var shift_group = lane; shift_group < shift_groups * across; shift_group += WORKGROUP) {
        let i = i32(shift_group % shift_groups * 4u) - i32(p.radius);
        let j = i32(shift_group / shift_groups) - i32(p.radius);
        let left = i32(x) + i;
        let top = i32(y) + j;
        if (own != other && top >= 0 && top <= i32((p.grid_rows - 1u) * p.side)) {
            let sums = differences(batch, other, left, u32(top));
            best = considered(best, sums.x, i, j, left);
            best = considered(best, sums.y, i + 1, j, left + 1);
            best = considered(best, sums.z, i + 2, j, left + 2);
            best = considered(best, sums.w, i + 3, j, left + 3);
        }
    }
    found[lane] = best;
    for (var half = WORKGROUP / 2u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half && better(found[lane + half], found[lane])) {
            found[lane] = found[lane + half];
        }
    }
    // After its last step the first invocation has written what it reads.
    if (lane == 0u) {
        let at = motion_at(batch, own, row, column, number % p.sub_clip);
        motion[at] = f32(found[0].i) / f32(p.side);
        motion[at + 1u] = f32(found[0].j) / f32(p.side);
    }
}
