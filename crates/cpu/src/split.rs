//! Parallel work on an output: disjoint parts of it, each for one task.

use orthoformer::view::{BoundView, indices};
use rayon::prelude::*;

/// Tasks of a thread to aim for, so that none waits long for the last one.
const TASKS_PER_THREAD: u32 = 4;
/// Rows of a task: whole tiles of products, and not so many that a block of them leaves the cache.
const ROW_MULTIPLE: u32 = 24;
const MOST_ROWS: u32 = 192;

/// An axis of an output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub size: u32,
    /// In elements.
    pub stride: usize,
    /// Most indices of a part, unless an axis within this one has to stay whole.
    pub block: u32,
}

/// Rows of an output that belong to one task.
pub(crate) struct Part<'e, const N: usize> {
    /// First index along each axis.
    pub first: [u32; N],
    /// Number of indices along each axis.
    pub count: [u32; N],
    /// The elements from the first row on.
    pub elements: &'e mut [f32],
}

impl<const N: usize> Part<'_, N> {
    /// Index along an axis, from that of the part on.
    pub fn along(&self, axis: usize) -> std::ops::Range<u32> {
        self.first[axis]..self.first[axis] + self.count[axis]
    }

    /// The indices of its rows.
    pub fn indices(&self) -> impl Iterator<Item = [u32; N]> + use<N> {
        let first = self.first;
        indices(self.count).map(move |index| std::array::from_fn(|axis| first[axis] + index[axis]))
    }

    /// The elements from the row at an index on.
    pub fn from(&mut self, axes: &[Axis; N], index: [u32; N]) -> &mut [f32] {
        let along = |axis: usize| (index[axis] - self.first[axis]) as usize * axes[axis].stride;
        &mut self.elements[(0..N).map(along).sum()..]
    }
}

/// The axes of a written view.
pub(crate) fn axes<const N: usize>(view: &BoundView, sizes: [u32; N], blocks: [u32; N]) -> [Axis; N] {
    std::array::from_fn(|axis| Axis { size: sizes[axis], stride: view.stride(axis) as usize, block: blocks[axis].max(1) })
}

/// Indices of a task along an axis of a written view, the rows. Only axes outside of it are cut too.
pub(crate) fn rows_of_task<const N: usize>(view: &BoundView, sizes: [u32; N], axis: usize) -> u32 {
    let outside = (0..N).filter(|&other| view.stride(other) > view.stride(axis)).map(|other| u64::from(sizes[other]));
    let tasks = u64::from(TASKS_PER_THREAD) * rayon::current_num_threads() as u64;
    let tasks = tasks.div_ceil(outside.product::<u64>().max(1)).clamp(1, u32::MAX.into()) as u32;
    sizes[axis].div_ceil(tasks).next_multiple_of(ROW_MULTIPLE).min(MOST_ROWS)
}

/// Runs disjoint parts of rows of `width` elements in parallel. `elements` begins with the first row. Parts are cut along the axes from the
/// largest stride on, up to the first of which a part has more than one index; axes of interleaved rows are not cut.
pub(crate) fn split<const N: usize>(elements: &mut [f32], axes: &[Axis; N], width: usize, run: &(dyn Fn(Part<'_, N>) + Sync)) {
    let mut order: [usize; N] = std::array::from_fn(|axis| axis);
    order.sort_unstable_by_key(|&axis| std::cmp::Reverse((axes[axis].stride, axes[axis].size)));
    let mut span = width;
    let mut spans = [0; N];
    let mut nested = true;
    for &axis in order.iter().rev() {
        let Axis { size, stride, .. } = axes[axis];
        spans[axis] = span;
        nested &= size <= 1 || stride >= span;
        span += size.saturating_sub(1) as usize * stride;
    }
    let part = Part { first: [0; N], count: axes.map(|axis| axis.size), elements };
    if nested { Splitter { axes, order, spans, run }.descend(0, part) } else { run(part) }
}

struct Splitter<'s, const N: usize> {
    axes: &'s [Axis; N],
    /// Axes by their strides, largest first.
    order: [usize; N],
    /// Elements from the first to the last row of what is within an index of each axis.
    spans: [usize; N],
    run: &'s (dyn Fn(Part<'_, N>) + Sync),
}

impl<const N: usize> Splitter<'_, N> {
    fn descend(&self, depth: usize, part: Part<'_, N>) {
        let Some(&axis) = self.order.get(depth) else { return (self.run)(part) };
        let Axis { stride, block, .. } = self.axes[axis];
        let count = part.count[axis];
        if count <= 1 {
            return self.descend(depth + 1, part);
        }
        if block >= count {
            return (self.run)(part);
        }
        let Part { first, count: counts, elements } = part;
        let used = ((count - 1) as usize * stride + self.spans[axis]).min(elements.len());
        let chunks = elements[..used].par_chunks_mut(stride * block as usize).enumerate().with_max_len(1);
        chunks.for_each(|(number, elements)| {
            let mut part = Part { first, count: counts, elements };
            let skipped = number as u32 * block;
            part.first[axis] += skipped;
            part.count[axis] = block.min(count - skipped);
            if block == 1 { self.descend(depth + 1, part) } else { (self.run)(part) }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts parts, and adds one to each element of each row.
    fn covered(axes: [Axis; 3], width: usize, length: usize) -> (u32, Vec<f32>) {
        let (mut elements, parts) = (vec![0.0; length], AtomicU32::new(0));
        split(&mut elements, &axes, width, &|mut part| {
            parts.fetch_add(1, Ordering::Relaxed);
            for index in part.indices() {
                part.from(&axes, index)[..width].iter_mut().for_each(|element| *element += 1.0);
            }
        });
        (parts.into_inner(), elements)
    }

    #[test]
    fn parts_cover_every_row_once() {
        let axis = |size, stride, block| Axis { size, stride, block };
        // Dense; blocks of an inner axis end the cutting.
        let (parts, dense) = covered([axis(2, 60, 1), axis(5, 12, 2), axis(3, 4, 1)], 4, 120);
        assert_eq!((parts, dense), (6, vec![1.0; 120]));
        // The last axis is the outermost, and there are gaps.
        let (parts, gaps) = covered([axis(2, 30, 1), axis(5, 5, 1), axis(3, 100, 1)], 4, 260);
        assert_eq!((parts, gaps.iter().sum::<f32>()), (30, 120.0));
        assert!(gaps.iter().all(|&element| element <= 1.0));
        // Rows that overlap stay with one task.
        assert_eq!(covered([axis(2, 3, 1), axis(1, 0, 1), axis(2, 8, 1)], 4, 20).0, 1);
        assert_eq!(covered([axis(1, 0, 1); 3], 4, 4), (1, vec![1.0; 4]));
    }
}
