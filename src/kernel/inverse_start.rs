//! Start of the iteration for the pseudo-inverse of a matrix.

use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Start of the iteration for the pseudo-inverse (`inverse_start`):
    /// `starts[g] = matrices[g]' / (largest column sum * largest row sum of |matrices[g]|)`.
    InverseStart, InverseStartParams, "inverse_start", |p|
    sizes {
        /// Matrices.
        groups "matrices",
        /// Rows and columns of a matrix.
        size "matrix size",
    }
    read matrices {
        /// Rows of square matrices.
        matrices: [groups, size; size],
    }
    write starts {
        /// Rows of the results.
        starts: [groups, size; size],
    }
    workgroup: 64,
    workgroups: p.groups.into(),
    multiply_adds: count(&[p.groups, p.size, p.size, 3]),
    iterations: 2 * looped(p.size.div_ceil(64).into(), looped(p.size.into(), 0)) + 2 * looped(6, 0),
    accesses_in_range: false,
    reference: reference,
}

/// Input: matrices; output: starts.
fn reference(p: &InverseStartParams, inputs: &[&[f32]], starts: &mut [f32]) {
    let &[matrices] = inputs else { return };
    for group in 0..p.groups {
        let element = |row: u32, column: u32| f64::from(p.matrices.row(matrices, &[group, row], p.size)[column as usize]);
        let largest = |sum: &dyn Fn(u32) -> f64| (0..p.size).map(sum).fold(0.0, f64::max);
        let rows = largest(&|row| (0..p.size).map(|column| element(row, column).abs()).sum());
        let columns = largest(&|column| (0..p.size).map(|row| element(row, column).abs()).sum());
        for [row, column] in indices([p.size; 2]) {
            starts[p.starts.at(&[group, row]) + column as usize] = (element(column, row) / (rows * columns)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn whole_buffers_are_seen_as_they_lie() {
        let [matrices, starts] = [0, 1].map(|buffer| View::of(BufferId(buffer), &[3, 5, 5]));
        let (params, _) = InverseStart { matrices, starts }.place().expect("they fit");
        let dense = BoundView::new(0, &[25, 5]);
        assert_eq!(params, InverseStartParams { matrices: dense, starts: dense, groups: 3, size: 5 });
        assert_eq!(params.accesses(), [Extent::dense(0, 75); 2]);
    }
}
