//! Reference of `shaders/cuboids.wgsl`: a clip cut in cuboids, each a row.

use crate::params::CuboidsParams;

/// Input: clip; output: rows. See [`CuboidsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], rows: &mut [f32]) {
    let p: CuboidsParams = bytemuck::pod_read_unaligned(params);
    let &[clip] = inputs else { return };
    let [channels, depth, side] = [p.channels, p.depth, p.side].map(|size| size as usize);
    let [frames, grid_rows, columns] = [p.frames, p.grid_rows, p.grid_columns].map(|size| size as usize);
    let mut slots = rows[p.rows_offset as usize..].iter_mut();
    let mut put = |number: f32| {
        if let Some(slot) = slots.next() {
            *slot = number;
        }
    };
    for batch in 0..p.batch as usize {
        (0..u64::from(p.skip) * p.row()).for_each(|_| put(0.0));
        for frame in 0..frames {
            for place in 0..grid_rows * columns {
                for (channel, z) in (0..channels).flat_map(|channel| (0..depth).map(move |z| (channel, z))) {
                    let plane = (batch * channels + channel) * frames * depth + frame * depth + z;
                    for j in 0..side {
                        let line = plane * grid_rows * side + place / columns * side + j;
                        let start = p.clip_offset as usize + line * columns * side + place % columns * side;
                        clip[start..start + side].iter().for_each(|&number| put(number));
                    }
                }
            }
        }
    }
}
