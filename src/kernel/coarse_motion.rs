//! Motion on a coarser grid.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Motion on a coarser grid (`coarse_motion`):
    /// `coarse[b,f,y,x,g] = mean_{j,i} motion[b, f, y*height + j, x*width + i, g] / (width, height)`.
    ///
    /// Frames are those of the coarser grid: the view of `motion` has the first frame that each of them covers, in sub-clips too.
    CoarseMotion, CoarseMotionParams, "coarse_motion", |p|
    sizes {
        /// Batch items.
        batch,
        /// Frames.
        frames,
        /// Rows of the coarser grid.
        grid_rows "grid rows",
        /// Columns of the coarser grid.
        grid_columns "grid columns",
        /// Frames of a sub-clip.
        sub_clip "frames of a sub-clip",
    }
    given {
        /// Patches from top to bottom that a cell of the coarser grid covers.
        height,
        /// Patches from left to right.
        width,
    }
    read motion {
        /// Motion of the patches, horizontal and vertical.
        motion: [batch, frames, (count(&[p.grid_rows, p.height])), (count(&[p.grid_columns, p.width])), sub_clip; (2)],
    }
    write coarse {
        /// Motion of the cells.
        coarse: [batch, frames, grid_rows, grid_columns, sub_clip; (2)],
    }
    workgroup: 64,
    workgroups: p.elements().div_ceil(64),
    multiply_adds: p.elements().saturating_mul(count(&[p.height, p.width])),
    iterations: looped(p.height.into(), looped(p.width.into(), 0)),
    accesses_in_range: true,
    reference: reference,
}

impl CoarseMotionParams {
    /// Elements of the result.
    fn elements(&self) -> u64 {
        count(&[self.batch, self.frames, self.grid_rows, self.grid_columns, self.sub_clip, 2])
    }
}

/// Input: motion; output: coarse.
fn reference(p: &CoarseMotionParams, inputs: &[&[f32]], coarse: &mut [f32]) {
    let &[motion] = inputs else { return };
    for [batch, frame, y, x, other] in indices([p.batch, p.frames, p.grid_rows, p.grid_columns, p.sub_clip]) {
        let to = p.coarse.at(&[batch, frame, y, x, other]);
        for (axis, side) in [p.width, p.height].into_iter().enumerate() {
            let of = |[j, i]: [u32; 2]| {
                f64::from(motion[p.motion.at(&[batch, frame, y * p.height + j, x * p.width + i, other]) + axis])
            };
            let mean = indices([p.height, p.width]).map(of).sum::<f64>() / f64::from(p.height * p.width);
            coarse[to + axis] = (mean / f64::from(side)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_are_seen_as_they_lie() {
        // Of each two frames the first, and of each four of a sub-clip: [batch, frames * 2, rows * 3, columns * 5, sub-clip * 2, 2].
        let motion =
            View::of(BufferId(0), &[2, 8, 6, 15, 8, 2]).with_stride(1, 2 * 1440).with_stride(4, 4).part(1, 0, 4).part(4, 0, 4);
        let coarse = View::of(BufferId(1), &[2, 4, 2, 3, 4, 2]);
        let (params, _) = CoarseMotion { motion, coarse, height: 3, width: 5 }.place().expect("they fit");
        let sizes = CoarseMotionParams { batch: 2, frames: 4, grid_rows: 2, grid_columns: 3, sub_clip: 4, ..params };
        let (motion, coarse) = (BoundView::new(0, &[11_520, 2880, 240, 16, 4]), BoundView::new(0, &[192, 48, 24, 8, 2]));
        assert_eq!(params, CoarseMotionParams { motion, coarse, height: 3, width: 5, ..sizes });
        // All but a frame and the last pair, which the view leaves out.
        let accesses = params.accesses();
        assert_eq!((accesses[0].end, accesses[1].end), (2 * 11_520 - 1440 - 2, 384));
    }
}
