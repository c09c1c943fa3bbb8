//! Reference of `shaders/cluster_means.wgsl`: means of the rows assigned to each centre.

use crate::params::ClusterMeansParams;

/// Inputs: x, assignments, centres; output: means. See [`ClusterMeansParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], means: &mut [f32]) {
    let p: ClusterMeansParams = bytemuck::pod_read_unaligned(params);
    let &[x, assignments, centres] = inputs else { return };
    for group in 0..p.groups {
        let assigned = &assignments[(p.a_offset + group * p.a_group_stride) as usize..][..p.rows as usize];
        for centre in 0..p.centres {
            let members: Vec<u32> = (0..p.rows).filter(|&row| assigned[row as usize] as u32 == centre).collect();
            for column in 0..p.size {
                let start = p.x_offset + group * p.x_group_stride + column / 4 * 4 * p.rows + column % 4;
                let sum: f64 = members.iter().map(|row| f64::from(x[(start + row * 4) as usize])).sum();
                let at = group * p.c_group_stride + centre * p.size + column;
                let mean = (sum / members.len() as f64) as f32;
                let before = centres[(p.c_offset + at) as usize];
                means[(p.out_offset + at) as usize] = if members.is_empty() { before } else { mean };
            }
        }
    }
}
