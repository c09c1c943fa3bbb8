//! Reference of `shaders/inverse_start.wgsl`: where the iteration for the pseudo-inverse begins.

use crate::params::InverseStartParams;

/// Input: matrices; output: starts. See [`InverseStartParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], starts: &mut [f32]) {
    let p: InverseStartParams = bytemuck::pod_read_unaligned(params);
    let &[matrices] = inputs else { return };
    let size = p.size as usize;
    let matrices = matrices[p.a_offset as usize..].chunks(size * size);
    let starts = starts[p.out_offset as usize..].chunks_mut(size * size);
    for (matrix, start) in matrices.zip(starts).take(p.groups as usize) {
        let number = |row: usize, column: usize| f64::from(matrix[row * size + column]);
        let largest = |sum: &dyn Fn(usize) -> f64| (0..size).map(sum).fold(0.0, f64::max);
        let rows = largest(&|row| (0..size).map(|column| number(row, column).abs()).sum());
        let columns = largest(&|column| (0..size).map(|row| number(row, column).abs()).sum());
        for row in 0..size {
            for column in 0..size {
                start[row * size + column] = (number(column, row) / (rows * columns)) as f32;
            }
        }
    }
}
