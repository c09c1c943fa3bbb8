//! Live ranges of scratch buffers, and the allocations that they share.
//!
//! A scratch buffer is live from the first dispatch that binds it to the last one. [`PlanBuilder::release`](super::PlanBuilder::release) splits
//! that into several live ranges, between which its contents are lost. Live ranges that do not overlap may share an allocation. Two buffers
//! of one dispatch overlap, so a dispatch never reads the allocation that it writes.

use super::{BufferId, Plan, Role};

/// The dispatches over which a scratch buffer is needed, by their indices in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LiveRange {
    buffer: usize,
    first: usize,
    last: usize,
    bytes: u64,
}

impl LiveRange {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Allocations for a plan's scratch buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScratchLayout {
    /// Size of each allocation, in bytes.
    allocations: Vec<u64>,
    /// Live ranges and the allocation of each, sorted by buffer and first dispatch.
    ranges: Vec<(LiveRange, usize)>,
}

impl ScratchLayout {
    /// Sizes of the allocations, in bytes.
    pub fn allocations(&self) -> &[u64] {
        &self.allocations
    }

    /// Returns the allocation of a scratch buffer during a dispatch (an index in the plan).
    pub fn allocation(&self, buffer: BufferId, dispatch: usize) -> Option<usize> {
        let (range, allocation) = self.begun(buffer, dispatch)?;
        (dispatch <= range.last).then_some(allocation)
    }

    /// Returns the last live range of a buffer that begins with this dispatch or before.
    fn begun(&self, buffer: BufferId, dispatch: usize) -> Option<(LiveRange, usize)> {
        let beginning = (buffer.index(), dispatch);
        let later = self.ranges.partition_point(|(range, _)| (range.buffer, range.first) <= beginning);
        let found = self.ranges[..later].last().copied();
        found.filter(|(range, _)| range.buffer == buffer.index())
    }

    /// Returns the allocation of a scratch buffer's last live range, or `None` if no dispatch uses it.
    pub fn last_allocation(&self, buffer: BufferId) -> Option<usize> {
        self.begun(buffer, usize::MAX).map(|(_, allocation)| allocation)
    }

    /// One allocation a scratch buffer, so that its contents can be read when the plan has run.
    pub(super) fn apart(plan: &Plan) -> Self {
        let whole = |mut live_ranges: Vec<LiveRange>, next: LiveRange| {
            match live_ranges.iter_mut().find(|known| known.buffer == next.buffer) {
                Some(known) => known.last = next.last,
                None => live_ranges.push(next),
            }
            live_ranges
        };
        let live_ranges = live_ranges(plan).into_iter().fold(Vec::new(), whole);
        Self {
            allocations: live_ranges.iter().map(|range| range.bytes).collect(),
            ranges: live_ranges.into_iter().enumerate().map(|(allocation, range)| (range, allocation)).collect(),
        }
        .in_order()
    }

    /// Shared allocations: the largest live range first, each in the first allocation that is free. So no allocation grows.
    pub(super) fn shared(plan: &Plan) -> Self {
        let mut live_ranges = live_ranges(plan);
        live_ranges.sort_by_key(|range| std::cmp::Reverse(range.bytes));
        let mut layout = Self::default();
        for range in live_ranges {
            let is_free =
                |allocation: &usize| layout.ranges.iter().all(|(other, at)| at != allocation || !other.overlaps(&range));
            let allocation = (0..layout.allocations.len()).find(is_free).unwrap_or_else(|| {
                layout.allocations.push(range.bytes);
                layout.allocations.len() - 1
            });
            layout.ranges.push((range, allocation));
        }
        layout.in_order()
    }

    fn in_order(mut self) -> Self {
        self.ranges.sort_by_key(|(range, _)| (range.buffer, range.first));
        self
    }
}

/// All live ranges of all scratch buffers, in the order in which they begin.
fn live_ranges(plan: &Plan) -> Vec<LiveRange> {
    let mut done = Vec::new();
    let mut open: Vec<Option<LiveRange>> = vec![None; plan.buffers.len()];
    let mut releases = plan.releases.iter().peekable();
    for (number, dispatch) in plan.dispatches().enumerate() {
        while let Some((_, buffer)) = releases.next_if(|(before, _)| *before <= number) {
            done.extend(open[buffer.index()].take());
        }
        for buffer in dispatch.bindings.iter().map(|binding| binding.buffer.index()) {
            let spec = &plan.buffers[buffer];
            if spec.role == Role::Scratch {
                let fresh = LiveRange { buffer, first: number, last: number, bytes: spec.bytes() };
                open[buffer].get_or_insert(fresh).last = number;
            }
        }
    }
    done.extend(open.into_iter().flatten());
    done.sort_by_key(|range| (range.first, range.buffer));
    done
}

#[cfg(test)]
mod tests {
    use super::super::{PlanBuilder, PlanLimits};
    use super::*;
    use crate::kernel::Linear;
    use crate::view::View;

    /// A chain of products from buffer to buffer.
    fn chain(sizes: &[u32], release: bool) -> Plan {
        let mut builder = PlanBuilder::new(PlanLimits::default());
        let product = |builder: &mut PlanBuilder, from: BufferId, to: BufferId| {
            let [from, to] = [from, to].map(|buffer| View::of(buffer, &[1, 1]));
            builder.launch("product", Linear::new(from, from, to)).expect("fits");
        };
        let x = builder.buffer("x", &[1], Role::Input).expect("small");
        let scratch: Vec<BufferId> = sizes
            .iter()
            .map(|&size| builder.buffer(&format!("scratch {size}"), &[size.into()], Role::Scratch).expect("small"))
            .collect();
        for _ in 0..2 {
            let mut from = x;
            for &to in &scratch {
                product(&mut builder, from, to);
                from = to;
            }
            if release {
                builder.release(&scratch).expect("its own");
            }
        }
        builder.build()
    }

    #[test]
    fn buffers_that_never_overlap_share_an_allocation() {
        let plan = chain(&[10, 100, 30, 40], true);
        let shared = ScratchLayout::shared(&plan);
        // Neighbours overlap; 10 shares with 30, and 100 with 40.
        assert_eq!(shared.allocations(), [400, 120]);
        for (number, dispatch) in plan.dispatches().enumerate() {
            let [read, written] = [0, 4].map(|binding: usize| dispatch.bindings[binding].buffer);
            assert_ne!(shared.allocation(read, number), shared.allocation(written, number));
        }
        assert_eq!(ScratchLayout::apart(&plan).allocations(), [40, 400, 120, 160]);
        assert_eq!(plan.peak_bytes(), 4 + 400 + 120);
        assert_eq!(plan.buffer_bytes(), 4 + 40 + 400 + 120 + 160);
    }

    #[test]
    fn contents_that_are_not_released_are_kept() {
        let plan = chain(&[10, 100, 30, 40], false);
        let shared = ScratchLayout::shared(&plan);
        // From the first round to the second all are needed.
        assert_eq!(shared.allocations().len(), 4);
    }
}
