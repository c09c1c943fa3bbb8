//! Reference of `shaders/coarse_motion.wgsl`: motion on a coarser grid.

use crate::params::CoarseMotionParams;

/// Input: motion; output: coarse. See [`CoarseMotionParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], coarse: &mut [f32]) {
    let p: CoarseMotionParams = bytemuck::pod_read_unaligned(params);
    let &[motion] = inputs else { return };
    let (rows, columns, fine_sub_clip) = (p.grid_rows * p.height, p.grid_columns * p.width, p.sub_clip * p.depth);
    let mut slots = coarse[p.coarse_offset as usize..].iter_mut();
    for frame in 0..p.batch * p.frames {
        for place in 0..p.grid_rows * p.grid_columns {
            let (y, x) = (place / p.grid_columns * p.height, place % p.grid_columns * p.width);
            for (other, axis) in (0..p.sub_clip).flat_map(|other| [(other, 0), (other, 1)]) {
                let covered = (0..p.height).flat_map(|j| (0..p.width).map(move |i| (j, i)));
                let of = |(j, i)| {
                    let patch = (frame * p.depth * rows + y + j) * columns + x + i;
                    f64::from(motion[(p.motion_offset + (patch * fine_sub_clip + other * p.depth) * 2 + axis) as usize])
                };
                let mean = covered.map(of).sum::<f64>() / f64::from(p.height * p.width);
                if let Some(slot) = slots.next() {
                    *slot = (mean / f64::from([p.width, p.height][axis as usize])) as f32;
                }
            }
        }
    }
}
