//! The centre that each row is closest to.

use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_CANDIDATES, MAX_HEAD_SIZE};
use crate::view::indices;

const WORKGROUP: u32 = 64;

kernel! {
    /// Nearest centre (`nearest`): `assignments[g,i]` is the centre that row `i` is closest to, by distance or by angle.
    Nearest, NearestParams, "nearest", |p|
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
    values {
        /// 0: by distance; 1: by angle.
        spherical: u32,
    }
    read x {
        /// Rows in blocks of four columns; offset and strides are multiples of four.
        x: [groups, blocks, rows; 4],
    }
    read centres {
        /// Centres.
        centres: [groups, clusters; size],
    }
    write assignments {
        /// Indices of centres as float32.
        assignments: [groups; rows],
    }
    workgroup: WORKGROUP,
    workgroups: count(&[p.groups, p.rows]).div_ceil(WORKGROUP.into()),
    multiply_adds: count(&[p.groups, p.rows, p.clusters, p.size, 1 + p.spherical]),
    iterations: looped(p.clusters.into(), looped(p.size.div_ceil(4).into(), 0)) + looped(p.size.div_ceil(4).into(), 0),
    accesses_in_range: false,
    reference: reference,
}

/// Inputs: x, centres; output: assignments.
fn reference(p: &NearestParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[x, centres] = inputs else { return };
    for [group, row] in indices([p.groups, p.rows]) {
        let element = |column: u32| f64::from(p.x.row(x, &[group, column / 4, row], 4)[column as usize % 4]);
        let elements: Vec<f64> = (0..p.size).map(element).collect();
        let distance = |cluster: u32| {
            let centre = p.centres.row(centres, &[group, cluster], p.size).iter().map(|&element| f64::from(element));
            let pairs = elements.iter().zip(centre);
            if p.spherical == 0 {
                return pairs.map(|(element, centre)| (element - centre).powi(2)).sum::<f64>();
            }
            let (product, square) = pairs
                .fold((0.0, 0.0), |(product, square), (element, centre)| (product + element * centre, square + centre * centre));
            if square > 0.0 { -product / square.sqrt() } else { 0.0 }
        };
        let nearest = (0..p.clusters).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        p.assignments.row_mut(output, &[group], p.rows)[row as usize] = nearest.unwrap_or(0) as f32;
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
        let request = Nearest { x, centres: of(1, &[3, 5, 6]), assignments: of(2, &[3, 7]), spherical: 1 };
        let (params, bindings) = request.place().expect("they fit");
        let by_hand = NearestParams {
            x: BoundView::new(0, &[56, 28, 4]),
            centres: BoundView::new(0, &[30, 6]),
            assignments: BoundView::new(0, &[7]),
            groups: 3,
            clusters: 5,
            rows: 7,
            size: 6,
            blocks: 2,
            spherical: 1,
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&by_hand));
        let ends: Vec<u64> = by_hand.accesses().iter().map(|extent| extent.end).collect();
        assert_eq!(bindings.iter().map(|binding| binding.len).collect::<Vec<_>>(), ends);
        assert_eq!(ends, [168, 90, 21]);
    }
}
