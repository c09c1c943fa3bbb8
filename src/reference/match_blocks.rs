//! Reference of `shaders/match_blocks.wgsl`: motion by block matching.

use crate::params::MatchBlocksParams;

/// Input: clip; output: motion. See [`MatchBlocksParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], motion: &mut [f32]) {
    let p: MatchBlocksParams = bytemuck::pod_read_unaligned(params);
    let &[clip] = inputs else { return };
    let clip = WholeClip { p: &p, pixels: whole_pixels(&p, clip) };
    let places = p.grid_rows * p.grid_columns;
    let mut slots = motion[p.motion_offset as usize..].chunks_exact_mut(2);
    for batch in 0..p.batch {
        for cuboid in 0..p.frames * places {
            let own = cuboid / places;
            for offset in 0..p.sub_clip {
                let other = own / p.sub_clip * p.sub_clip + offset;
                let (i, j) = if own == other { (0, 0) } else { clip.best_shift(batch, [own, other], cuboid % places) };
                if let Some(slot) = slots.next() {
                    slot.copy_from_slice(&[i, j].map(|shift| shift as f32 / p.side as f32));
                }
            }
        }
    }
}

/// A clip's pixels as whole numbers.
struct WholeClip<'p> {
    p: &'p MatchBlocksParams,
    pixels: Vec<i64>,
}

/// All that is in the clip, as whole numbers.
fn whole_pixels(p: &MatchBlocksParams, clip: &[f32]) -> Vec<i64> {
    let plane = (p.frames * p.depth * p.grid_rows * p.side * p.grid_columns * p.side) as usize;
    let channels = [(p.red_scale, p.red_shift), (p.green_scale, p.green_shift), (p.blue_scale, p.blue_shift)];
    let all = clip[p.clip_offset as usize..].chunks(plane).take((p.batch * p.channels) as usize);
    let planes = all.zip((0..p.channels as usize).cycle());
    let whole = |number: f32, (scale, shift): (f32, f32)| {
        (f64::from(number) * f64::from(scale) + f64::from(shift)).round_ties_even().clamp(0.0, 65_535.0) as i64
    };
    planes.flat_map(|(plane, channel)| plane.iter().map(move |&number| whole(number, channels[channel]))).collect()
}

impl WholeClip<'_> {
    /// The first shift `(i, j)` of the least sum of differences, in the order that the params describe.
    fn best_shift(&self, batch: u32, [own, other]: [u32; 2], place: u32) -> (i64, i64) {
        let [radius, side] = [self.p.radius, self.p.side].map(i64::from);
        let [columns, rows] = [self.p.grid_columns, self.p.grid_rows].map(i64::from);
        let (x, y) = (i64::from(place) % columns * side, i64::from(place) / columns * side);
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
            let plane = ((batch * p.channels + channel) * p.frames + frame) * p.depth;
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
