//! Which scratch buffers may share memory: those that are never needed at the same time.
//!
//! A scratch buffer is needed from the first dispatch that binds it to the last one; [`PlanBuilder::release`](super::PlanBuilder::release)
//! cuts that into several stretches where its contents are not carried over. Stretches that do not overlap may lie in the same
//! piece of memory. Two buffers of one dispatch overlap, so a dispatch never reads the piece that it writes.

use super::{BufferId, Plan, Role};

/// A stretch of dispatches over which a scratch buffer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    buffer: usize,
    first: usize,
    last: usize,
    bytes: u64,
}

impl Stretch {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Pieces of memory for a plan's scratch buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScratchLayout {
    /// Size of each piece, bytes.
    pieces: Vec<u64>,
    /// Which stretch lies in which piece, in the order of buffers and of their stretches.
    tenants: Vec<(Stretch, usize)>,
}

impl ScratchLayout {
    /// Sizes of the pieces, bytes.
    pub fn pieces(&self) -> &[u64] {
        &self.pieces
    }

    /// The piece that a scratch buffer lies in while a dispatch (by its number in the plan) runs.
    pub fn piece(&self, buffer: BufferId, dispatch: usize) -> Option<usize> {
        let (stretch, piece) = self.begun(buffer, dispatch)?;
        (dispatch <= stretch.last).then_some(piece)
    }

    /// The last stretch of a buffer that begins with this dispatch or before.
    fn begun(&self, buffer: BufferId, dispatch: usize) -> Option<(Stretch, usize)> {
        let beginning = (buffer.index(), dispatch);
        let later = self.tenants.partition_point(|(stretch, _)| (stretch.buffer, stretch.first) <= beginning);
        let found = self.tenants[..later].last().copied();
        found.filter(|(stretch, _)| stretch.buffer == buffer.index())
    }

    /// The piece that a scratch buffer lies in when it is used last; `None` if no dispatch uses it.
    pub fn last_piece(&self, buffer: BufferId) -> Option<usize> {
        self.begun(buffer, usize::MAX).map(|(_, piece)| piece)
    }

    /// Every scratch buffer in a piece of its own, all the time: what it held can be read when the plan has run.
    pub(super) fn apart(plan: &Plan) -> Self {
        let whole = |mut stretches: Vec<Stretch>, next: Stretch| {
            match stretches.iter_mut().find(|known| known.buffer == next.buffer) {
                Some(known) => known.last = next.last,
                None => stretches.push(next),
            }
            stretches
        };
        let stretches = stretches(plan).into_iter().fold(Vec::new(), whole);
        Self {
            pieces: stretches.iter().map(|stretch| stretch.bytes).collect(),
            tenants: stretches.into_iter().enumerate().map(|(piece, stretch)| (stretch, piece)).collect(),
        }
        .in_order()
    }

    /// The largest stretch first, each into the first piece where nothing is in its way: no piece ever grows.
    pub(super) fn shared(plan: &Plan) -> Self {
        let mut stretches = stretches(plan);
        stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.bytes));
        let mut layout = Self::default();
        for stretch in stretches {
            let is_free = |piece: &usize| layout.tenants.iter().all(|(other, at)| at != piece || !other.overlaps(&stretch));
            let piece = (0..layout.pieces.len()).find(is_free).unwrap_or_else(|| {
                layout.pieces.push(stretch.bytes);
                layout.pieces.len() - 1
            });
            layout.tenants.push((stretch, piece));
        }
        layout.in_order()
    }

    fn in_order(mut self) -> Self {
        self.tenants.sort_by_key(|(stretch, _)| (stretch.buffer, stretch.first));
        self
    }
}

/// All stretches of all scratch buffers, in the order in which they begin.
fn stretches(plan: &Plan) -> Vec<Stretch> {
    let mut done = Vec::new();
    let mut open: Vec<Option<Stretch>> = vec![None; plan.buffers.len()];
    let mut releases = plan.releases.iter().peekable();
    for (number, dispatch) in plan.dispatches().enumerate() {
        while let Some((_, buffer)) = releases.next_if(|(before, _)| *before <= number) {
            done.extend(open[buffer.index()].take());
        }
        for buffer in dispatch.bindings.iter().map(|binding| binding.buffer.index()) {
            let spec = &plan.buffers[buffer];
            if spec.role == Role::Scratch {
                let fresh = Stretch { buffer, first: number, last: number, bytes: spec.bytes() };
                open[buffer].get_or_insert(fresh).last = number;
            }
        }
    }
    done.extend(open.into_iter().flatten());
    done.sort_by_key(|stretch| (stretch.first, stretch.buffer));
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
    fn buffers_that_never_meet_share_a_piece() {
        let plan = chain(&[10, 100, 30, 40], true);
        let shared = ScratchLayout::shared(&plan);
        // Neighbours meet; 10 and 30 lie beside 100 and 40.
        assert_eq!(shared.pieces(), [400, 120]);
        for (number, dispatch) in plan.dispatches().enumerate() {
            let [read, written] = [0, 4].map(|binding: usize| dispatch.bindings[binding].buffer);
            assert_ne!(shared.piece(read, number), shared.piece(written, number));
        }
        assert_eq!(ScratchLayout::apart(&plan).pieces(), [40, 400, 120, 160]);
        assert_eq!(plan.peak_bytes(), 4 + 400 + 120);
        assert_eq!(plan.buffer_bytes(), 4 + 40 + 400 + 120 + 160);
    }

    #[test]
    fn contents_that_are_not_released_are_kept() {
        let plan = chain(&[10, 100, 30, 40], false);
        let shared = ScratchLayout::shared(&plan);
        // From the first round to the second all are needed.
        assert_eq!(shared.pieces().len(), 4);
    }
}
