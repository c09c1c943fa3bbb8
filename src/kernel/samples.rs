//! Positions of samples of deformable attention on their grid, and the shares of its patches.

use super::declaration::count;

/// Most patches along a side of the grid, so that the indices of its patches are exact as float32.
pub(super) const MAX_SIDE: u32 = 1 << 23;

/// A grid of patches and the samples of its sub-clips.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub frames: u32,
    pub rows: u32,
    pub columns: u32,
    pub sub_clip: u32,
    pub samples: u32,
}

impl Grid {
    /// Tokens of whole sub-clips, so that a last one of fewer frames is refused as an access beyond the binding.
    pub fn tokens(&self) -> u64 {
        let whole = u64::from(self.frames).div_ceil(self.sub_clip.max(1).into()).saturating_mul(self.sub_clip.into());
        whole.saturating_mul(count(&[self.rows, self.columns]))
    }

    /// The tokens round sample `sample` of all of a token's, displaced by `(dx, dy)`, and the share of each: none outside of the grid. NaN makes
    /// a share NaN.
    pub fn corners(&self, token: u32, sample: u32, (dx, dy): (f32, f32)) -> Vec<(u32, f64)> {
        let patches = self.rows * self.columns;
        let frame = token / patches / self.sub_clip * self.sub_clip + sample / self.samples;
        let patch = token % patches;
        let x = f64::from(patch % self.columns) + f64::from(dx);
        let y = f64::from(patch / self.columns) + f64::from(dy);
        if x.is_nan() || y.is_nan() {
            return vec![(frame * patches, f64::NAN)];
        }
        let corners =
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(right, below)| (x.floor() + right, y.floor() + below));
        let inside = corners.into_iter().filter(|&(column, row)| {
            (0.0..f64::from(self.columns)).contains(&column) && (0.0..f64::from(self.rows)).contains(&row)
        });
        let of = |(column, row): (f64, f64)| {
            let share = (1.0 - (x - column).abs()) * (1.0 - (y - row).abs());
            (frame * patches + row as u32 * self.columns + column as u32, share)
        };
        inside.map(of).collect()
    }
}
