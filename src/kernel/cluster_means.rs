//! Means of the rows assigned to each centre.

use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_CANDIDATES, MAX_HEAD_SIZE};
use crate::view::indices;

const WORKGROUP: u32 = 64;

kernel! {
    /// Means of clusters (`cluster_means`): `means[g,c]` is the mean of the rows that are assigned to centre `c`, or `centres[g,c]` if there are none.
    ClusterMeans, ClusterMeansParams, "cluster_means", |p|
    sizes {
        /// Groups.
        groups,
        /// Centres of a group.
        clusters "centres",
        /// Rows of a group.
        rows "candidates" <= MAX_CANDIDATES,
        /// Elements of a row and of a centre.
        size "candidate size" <= MAX_HEAD_SIZE.min(p.blocks.saturating_mul(4)),
        /// Blocks of four columns.
        blocks,
    }
    read x {
        /// Rows in blocks of four columns; offset and strides are multiples of four.
        x: [groups, blocks, rows; 4],
    }
    read assignments {
        /// Indices of centres as float32.
        assignments: [groups; rows],
    }
    read centres {
        /// Old centres.
        centres: [groups, clusters; size],
    }
    write means {
        /// New centres.
        means: [groups, clusters; size],
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.groups, p.clusters, p.size.div_ceil(4)]).div_ceil(WORKGROUP.into()),
    multiply_adds: count(&[p.groups, p.rows, p.size]),
    iterations: looped(p.rows.into(), 0),
    accesses_in_range: false,
    reference: reference,
}

/// Inputs: x, assignments, centres; output: means.
fn reference(p: &ClusterMeansParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[x, assignments, centres] = inputs else { return };
    for [group, cluster] in indices([p.groups, p.clusters]) {
        let assigned = p.assignments.row(assignments, &[group], p.rows);
        let members: Vec<u32> =
            (0..).zip(assigned).filter(|(_, number)| **number as u32 == cluster).map(|(row, _)| row).collect();
        let before = p.centres.row(centres, &[group, cluster], p.size);
        let means = p.means.row_mut(output, &[group, cluster], p.size);
        for ((column, mean), &before) in (0..).zip(means).zip(before) {
            let element = |&row: &u32| f64::from(p.x.row(x, &[group, column / 4, row], 4)[column as usize % 4]);
            let sum: f64 = members.iter().map(element).sum();
            *mean = if members.is_empty() { before } else { (sum / members.len() as f64) as f32 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, View};

    #[test]
    fn views_are_what_strides_by_hand_are() {
        let of = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        let x = of(0, &[3, 2, 7, 4]).index(3, 0);
        let (centres, means) = (of(2, &[3, 5, 6]), of(3, &[3, 5, 6]));
        let (params, bindings) = ClusterMeans { x, assignments: of(1, &[3, 7]), centres, means }.place().expect("they fit");
        let by_hand = ClusterMeansParams {
            x: BoundView::new(0, &[56, 28, 4]),
            assignments: BoundView::new(0, &[7]),
            centres: BoundView::new(0, &[30, 6]),
            means: BoundView::new(0, &[30, 6]),
            groups: 3,
            clusters: 5,
            rows: 7,
            size: 6,
            blocks: 2,
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
        let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), ends);
        assert_eq!(ends, [168, 21, 90, 90]);
    }
}
