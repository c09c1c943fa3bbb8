//! Reference of `shaders/nearest.wgsl`: the centre that each row is closest to.

use crate::params::NearestParams;

/// Inputs: x, centres; output: assignments. See [`NearestParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], assignments: &mut [f32]) {
    let p: NearestParams = bytemuck::pod_read_unaligned(params);
    let &[x, centres] = inputs else { return };
    for group in 0..p.groups {
        for row in 0..p.rows {
            let at = |column: u32| p.x_offset + group * p.x_group_stride + column / 4 * 4 * p.rows + row * 4 + column % 4;
            let numbers: Vec<f64> = (0..p.size).map(|column| x[at(column) as usize].into()).collect();
            let farness = |centre: u32| {
                let start = (p.c_offset + group * p.c_group_stride + centre * p.size) as usize;
                let centre = centres[start..][..p.size as usize].iter().map(|&number| f64::from(number));
                let pairs = numbers.iter().zip(centre);
                if p.spherical == 0 {
                    return pairs.map(|(number, centre)| (number - centre).powi(2)).sum::<f64>();
                }
                let (product, square) = pairs.fold((0.0, 0.0), |(product, square), (number, centre)| {
                    (product + number * centre, square + centre * centre)
                });
                if square > 0.0 { -product / square.sqrt() } else { 0.0 }
            };
            let nearest = (0..p.centres).min_by(|&a, &b| farness(a).total_cmp(&farness(b)));
            assignments[(p.out_offset + group * p.out_group_stride + row) as usize] = nearest.unwrap_or(0) as f32;
        }
    }
}
