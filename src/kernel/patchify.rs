//! Patches of a clip, each a row for the matrix product that embeds it (im2col).

use super::declaration::{count, kernel};
use crate::view::{Extent, indices};

kernel! {
    /// Patches of a clip (`patchify`, im2col): `patches[b*(skip + F*R*C) + skip + (f*R + r)*C + c, h, z, j, i] = clip[b, h, f*depth + z, r*height + j, c*width + i]`.
    /// Beyond the clip, and in the first `skip` rows of each batch item, there are zeros.
    Patchify, PatchifyParams, "patchify", |p|
    sizes {
        /// Batch items.
        batch,
        /// Channels `h` of the clip.
        channels,
        /// Frames of the clip; patches may extend beyond.
        clip_frames "frames of the clip",
        /// Rows of pixels of the clip.
        clip_rows "rows of the clip",
        /// Columns of pixels of the clip.
        clip_columns "columns of the clip",
        /// Frames of a patch.
        depth,
        /// Height of a patch, in pixels.
        height,
        /// Width of a patch, in pixels.
        width,
    }
    given {
        /// Patches along time, `F`.
        frames,
        /// Patches from top to bottom, `R`.
        grid_rows "grid rows",
        /// Patches from left to right, `C`.
        grid_columns "grid columns",
    }
    values {
        /// Rows of zeros ahead of each batch item's patches: 1 for a class token, else 0.
        skip: u32,
    }
    read clip as any {
        /// Channels may come first (pixels) or last (tokens).
        clip: [batch, channels, clip_frames, clip_rows, clip_columns; 1],
    } => p.seen(),
    write patches as any {
        /// Rows of all batch items; elements of a row in any order.
        patches: [(p.rows()), channels, depth, height, width; 1],
    }
    workgroup: 64,
    workgroups: p.rows().saturating_mul(p.row()).div_ceil(64),
    multiply_adds: 0,
    iterations: 0,
    accesses_in_range: true,
    reference: reference,
}

impl PatchifyParams {
    /// Elements of a row.
    fn row(&self) -> u64 {
        count(&[self.channels, self.depth, self.height, self.width])
    }

    /// Rows of all batch items.
    fn rows(&self) -> u64 {
        let patches = count(&[self.frames, self.grid_rows, self.grid_columns]);
        patches.saturating_add(self.skip.into()).saturating_mul(self.batch.into())
    }

    /// Sizes of the part of the clip that patches cover.
    fn seen(&self) -> Extent {
        let along = |patches: u32, size: u32, there: u32| u64::from(patches.saturating_mul(size).min(there));
        let sizes = [
            self.batch.into(),
            self.channels.into(),
            along(self.frames, self.depth, self.clip_frames),
            along(self.grid_rows, self.height, self.clip_rows),
            along(self.grid_columns, self.width, self.clip_columns),
        ];
        self.clip.extent(&sizes, 1)
    }
}

/// Input: clip; output: patches.
fn reference(p: &PatchifyParams, inputs: &[&[f32]], patches: &mut [f32]) {
    let &[clip] = inputs else { return };
    let mut rows = 0..;
    for batch in 0..p.batch {
        let elements = || indices([p.channels, p.depth, p.height, p.width]);
        for row in rows.by_ref().take(p.skip as usize) {
            elements().for_each(|[h, z, j, i]| patches[p.patches.at(&[row, h, z, j, i])] = 0.0);
        }
        for ([f, r, c], row) in indices([p.frames, p.grid_rows, p.grid_columns]).zip(rows.by_ref()) {
            for [h, z, j, i] in elements() {
                let [frame, y, x] = [f * p.depth + z, r * p.height + j, c * p.width + i];
                let is_there = frame < p.clip_frames && y < p.clip_rows && x < p.clip_columns;
                let pixel = if is_there { clip[p.clip.at(&[batch, h, frame, y, x])] } else { 0.0 };
                patches[p.patches.at(&[row, h, z, j, i])] = pixel;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn a_request_is_what_strides_say() {
        // Tokens `[batch, frames, rows, columns, channels]`, merged two by two: columns of patches first, channels last.
        let clip = View::of(BufferId(0), &[2, 1, 5, 4, 3]).ordered(&[0, 4, 1, 2, 3]);
        let patches = View::of(BufferId(1), &[2 * 6, 1, 2, 2, 3]).ordered(&[0, 4, 1, 3, 2]);
        let (params, _) =
            Patchify { clip, patches, frames: 1, grid_rows: 3, grid_columns: 2, skip: 0 }.place().expect("they fit");
        let expected = PatchifyParams {
            clip: BoundView::new(0, &[60, 1, 0, 12, 3]),
            patches: BoundView::new(0, &[12, 1, 0, 3, 6]),
            batch: 2,
            channels: 3,
            clip_frames: 1,
            clip_rows: 5,
            clip_columns: 4,
            depth: 1,
            height: 2,
            width: 2,
            frames: 1,
            grid_rows: 3,
            grid_columns: 2,
            skip: 0,
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&expected));
        assert_eq!(params.accesses(), [Extent::dense(0, 120), Extent::dense(0, 144)]);
    }

    #[test]
    fn what_no_patch_covers_is_not_accessed() {
        let view = BoundView::new(0, &[100, 100, 100, 10, 1]);
        let sizes = PatchifyParams { batch: 1, channels: 1, depth: 1, height: 3, width: 3, ..PatchifyParams::default() };
        let clip = PatchifyParams { clip: view, clip_frames: 1, clip_rows: 10, clip_columns: 10, ..sizes };
        let params = PatchifyParams { frames: 1, grid_rows: 2, grid_columns: 3, ..clip };
        assert_eq!(params.accesses()[0], Extent { end: 59, elements: 54 });
    }
}
