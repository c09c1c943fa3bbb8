//! Motion by block matching.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

/// Most values of a patch that block matching keeps in workgroup memory.
pub const MAX_MATCHED_VALUES: u32 = 3072;
/// Largest shift of block matching, in pixels.
pub const MAX_RADIUS: u32 = 127;

kernel! {
    /// Motion by block matching (`match_blocks`): `motion[b,f,y,x,g] = (i, j) / side` with the shift of at most `radius` pixels for which the patch's
    /// pixels have the least sum of absolute differences (of integers) from frame `g` of its sub-clip. Blocks stay inside of the frame.
    ///
    /// Of equal sums the shortest shift wins, then the least `|j|`, then `j < 0` before `j > 0`, then `i < 0` before `i > 0`. In its own frame a
    /// patch's motion is zero. The integers are `round(value * scale + shift)`, from 0 to 65,535. Frames are a multiple of `sub_clip`, and those
    /// of the grid: where a patch has several of the clip's, the view of `clip` has the first of them.
    MatchBlocks, MatchBlocksParams, "match_blocks", |p|
    sizes {
        /// Batch items.
        batch,
        /// Channels of the clip.
        channels <= 3,
        /// Frames of the grid.
        frames,
        /// Patches from top to bottom.
        grid_rows "grid rows",
        /// Patches from left to right.
        grid_columns "grid columns",
        /// `G`: frames of a sub-clip.
        sub_clip "frames of a sub-clip",
    }
    given {
        /// Height and width of a patch, in pixels.
        side "side of a patch",
        /// Largest shift, in pixels.
        radius "farthest motion, pixels" <= MAX_RADIUS,
    }
    checks { "numbers of a matched patch": count(&[p.channels, p.side, p.side]) => MAX_MATCHED_VALUES, }
    values {
        /// Factor from the first channel's values to integers.
        red_scale: f32,
        /// The same of the second channel.
        green_scale: f32,
        /// The same of the third channel.
        blue_scale: f32,
        /// Summand for the first channel's scaled values.
        red_shift: f32,
        /// The same of the second channel.
        green_shift: f32,
        /// The same of the third channel.
        blue_shift: f32,
    }
    read clip as any {
        /// Rows of pixels.
        clip: [batch, channels, (p.whole_frames()), (count(&[p.grid_rows, p.side])); (count(&[p.grid_columns, p.side]))],
    }
    write motion {
        /// Motion of the patches, horizontal and vertical.
        motion: [batch, frames, grid_rows, grid_columns, sub_clip; (2)],
    }
    shared { MAX_MATCHED_VALUES: MAX_MATCHED_VALUES, MAX_RADIUS: MAX_RADIUS, }
    workgroup: 64,
    workgroups: p.searches(),
    multiply_adds: count(&[p.channels, p.side, p.side]).saturating_mul(p.shifts()).saturating_mul(p.searches()),
    iterations: p.loop_iterations(),
    accesses_in_range: true,
    reference: reference,
}

impl MatchBlocksParams {
    /// Pairs of a patch and a frame of its sub-clip.
    fn searches(&self) -> u64 {
        count(&[self.batch, self.frames, self.grid_rows, self.grid_columns, self.sub_clip])
    }

    /// Shifts along an axis.
    fn across(&self) -> u64 {
        2 * u64::from(self.radius) + 1
    }

    /// Shifts of a patch.
    fn shifts(&self) -> u64 {
        self.across().saturating_mul(self.across())
    }

    /// Frames of whole sub-clips, so that a last one of fewer frames is refused as an access beyond the binding.
    fn whole_frames(&self) -> u64 {
        u64::from(self.frames).div_ceil(self.sub_clip.max(1).into()) * u64::from(self.sub_clip)
    }

    fn loop_iterations(&self) -> u64 {
        let lines = count(&[self.channels, self.side]);
        let line = looped(self.side.into(), 0);
        let shift_groups = self.across().saturating_mul(self.across().div_ceil(4));
        let search = looped(shift_groups.div_ceil(64), looped(lines, line));
        looped(lines.div_ceil(64), line).saturating_add(search).saturating_add(looped(6, 0))
    }
}

/// Input: clip; output: motion.
fn reference(p: &MatchBlocksParams, inputs: &[&[f32]], motion: &mut [f32]) {
    let &[clip] = inputs else { return };
    let clip = WholeClip { p, pixels: whole_pixels(p, clip) };
    for [batch, own, row, column, offset] in indices([p.batch, p.frames, p.grid_rows, p.grid_columns, p.sub_clip]) {
        let other = own / p.sub_clip * p.sub_clip + offset;
        let (i, j) = if own == other { (0, 0) } else { clip.best_shift(batch, [own, other], [row, column]) };
        let shift = [i, j].map(|shift| shift as f32 / p.side as f32);
        p.motion.row_mut(motion, &[batch, own, row, column, offset], 2).copy_from_slice(&shift);
    }
}

/// A clip's pixels as integers.
struct WholeClip<'p> {
    p: &'p MatchBlocksParams,
    /// `[batch, channels, frames, rows, columns]` without gaps.
    pixels: Vec<i64>,
}

fn whole_pixels(p: &MatchBlocksParams, clip: &[f32]) -> Vec<i64> {
    let channels = [(p.red_scale, p.red_shift), (p.green_scale, p.green_shift), (p.blue_scale, p.blue_shift)];
    let whole = |value: f32, (scale, shift): (f32, f32)| {
        (f64::from(value) * f64::from(scale) + f64::from(shift)).round_ties_even().clamp(0.0, 65_535.0) as i64
    };
    let lines = indices([p.batch, p.channels, p.frames, p.grid_rows * p.side]);
    let of_line = |index: [u32; 4]| {
        let factors = channels[index[1] as usize];
        p.clip.row(clip, &index, p.grid_columns * p.side).iter().map(move |&value| whole(value, factors))
    };
    lines.flat_map(of_line).collect()
}

impl WholeClip<'_> {
    /// The first shift `(i, j)` of the least sum of differences, in the order that the declaration describes.
    fn best_shift(&self, batch: u32, [own, other]: [u32; 2], [row, column]: [u32; 2]) -> (i64, i64) {
        let [radius, side] = [self.p.radius, self.p.side].map(i64::from);
        let [columns, rows] = [self.p.grid_columns, self.p.grid_rows].map(i64::from);
        let (x, y) = (i64::from(column) * side, i64::from(row) * side);
        let inside =
            |&(i, j): &(i64, i64)| (0..=(columns - 1) * side).contains(&(x + i)) && (0..=(rows - 1) * side).contains(&(y + j));
        let shifts = (-radius..=radius).flat_map(|j| (-radius..=radius).map(move |i| (i, j))).filter(inside);
        let key =
            |&(i, j): &(i64, i64)| (self.difference(batch, (own, x, y), (other, x + i, y + j)), i * i + j * j, j.abs(), j, i);
        shifts.min_by_key(key).unwrap_or_default()
    }

    /// The sum of absolute differences of two blocks, each given by its frame of the grid and its first pixel.
    fn difference(&self, batch: u32, here: (u32, i64, i64), there: (u32, i64, i64)) -> i64 {
        let p = self.p;
        let line = |channel: u32, (frame, x, y): (u32, i64, i64), v: u32| {
            let plane = (batch * p.channels + channel) * p.frames + frame;
            let row = i64::from(plane * p.grid_rows * p.side + v) + y;
            let start = (row * i64::from(p.grid_columns * p.side) + x) as usize;
            &self.pixels[start..start + p.side as usize]
        };
        let lines = (0..p.channels).flat_map(|channel| (0..p.side).map(move |v| (channel, v)));
        let of_line = |(channel, v)| -> i64 {
            line(channel, here, v).iter().zip(line(channel, there, v)).map(|(a, b)| (a - b).abs()).sum()
        };
        lines.map(of_line).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn views_are_seen_as_they_lie() {
        // Of each two frames the first: [batch, channels, frames * 2, rows * side, columns * side].
        let clip = View::of(BufferId(0), &[2, 3, 8, 16, 24]).split(2, 2).index(3, 0);
        let motion = View::of(BufferId(1), &[2, 4, 2, 3, 2, 2]);
        let (side, radius) = (8, 5);
        let [red_scale, green_scale, blue_scale, red_shift, green_shift, blue_shift] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let request =
            MatchBlocks { clip, motion, side, radius, red_scale, green_scale, blue_scale, red_shift, green_shift, blue_shift };
        let (params, _) = request.place().expect("they fit");
        let sizes = MatchBlocksParams { batch: 2, channels: 3, frames: 4, grid_rows: 2, grid_columns: 3, sub_clip: 2, ..params };
        let (clip, motion) = (BoundView::new(0, &[9216, 3072, 768, 24]), BoundView::new(0, &[96, 24, 12, 4, 2]));
        assert_eq!(params, MatchBlocksParams { clip, motion, side, radius, ..sizes });
        assert_eq!(params.accesses(), [Extent { end: 18_432 - 384, elements: 9216 }, Extent::dense(0, 192)]);
        assert_eq!(MatchBlocksParams { frames: 3, ..params }.accesses()[0], params.accesses()[0]);
    }
}
