//! Patches of a clip, each a row.

use orthoformer::kernel::PatchifyParams;
use orthoformer::view::indices;

use crate::split::{Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step(pub PatchifyParams);

impl Step {
    pub fn run(&self, clip: &[f32], patches: &mut [f32]) {
        let p = &self.0;
        let rows = p.batch * (p.skip + p.frames * p.grid_rows * p.grid_columns);
        let sizes = [rows, p.channels, p.depth, p.height, p.width];
        let block = rows_of_task(&p.patches, sizes, 0);
        let axes = axes(&p.patches, sizes, [block, p.channels, p.depth, p.height, p.width]);
        split(&mut patches[p.patches.offset as usize..], &axes, 1, &|mut part: Part<'_, 5>| {
            for row in part.along(0) {
                for [channel, z, j] in indices([p.channels, p.depth, p.height]) {
                    let strip = part.from(&axes, [row, channel, z, j, 0]);
                    self.strip(clip, [row, channel, z, j], strip.iter_mut().step_by(axes[4].stride.max(1)));
                }
            }
        });
    }

    /// Fills a line of pixels of a patch.
    fn strip<'e>(&self, clip: &[f32], [row, channel, z, j]: [u32; 4], pixels: impl Iterator<Item = &'e mut f32>) {
        let p = &self.0;
        let of_item = p.skip + p.frames * p.grid_rows * p.grid_columns;
        let (batch, patch) = (row / of_item, (row % of_item).checked_sub(p.skip));
        let pixels = pixels.take(p.width as usize);
        let Some(patch) = patch else { return pixels.for_each(|pixel| *pixel = 0.0) };
        let [f, r, c] = [patch / (p.grid_rows * p.grid_columns), patch / p.grid_columns % p.grid_rows, patch % p.grid_columns];
        let [frame, y, x] = [f * p.depth + z, r * p.height + j, c * p.width];
        let is_there = frame < p.clip_frames && y < p.clip_rows;
        let count = if is_there { p.clip_columns.saturating_sub(x).min(p.width) } else { 0 };
        for (at, pixel) in (0..).zip(pixels) {
            *pixel = if at < count { clip[p.clip.at(&[batch, channel, frame, y, x + at])] } else { 0.0 };
        }
    }
}
