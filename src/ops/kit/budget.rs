//! Budgets: how much is computed together.

use crate::plan::{BINDING_SLACK, ELEMENT_BYTES, PlanLimits};
use crate::view::View;

/// Most contiguous elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

impl Budget {
    /// The elements of a binding, at any alignment.
    pub fn of_binding(limits: &PlanLimits) -> Self {
        Self(limits.binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES)
    }

    /// The elements of a scratch buffer, which must fit one binding.
    pub fn of_scratch(limits: &PlanLimits) -> Self {
        Self((limits.scratch_bytes / ELEMENT_BYTES).min(Self::of_binding(limits).0))
    }

    /// Number of elements.
    pub fn elements(self) -> u64 {
        self.0
    }

    /// Number of items of so many elements each that fit, possibly zero.
    pub fn fitting(self, each: u64) -> u64 {
        self.0 / each.max(1)
    }

    /// The same, but at least one and at most `most`.
    pub fn items(self, each: u64, most: u64) -> u64 {
        self.fitting(each).clamp(1, most.max(1))
    }
}

/// First and number of each part, where so many go together.
pub fn parts(count: u64, together: u64) -> impl Iterator<Item = (u64, u64)> {
    let together = together.max(1);
    (0..count.div_ceil(together)).map(move |part| (part * together, together.min(count - part * together)))
}

/// Batch items that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clips {
    /// The first batch item.
    pub first: u64,
    /// Batch items.
    pub count: u64,
}

impl Clips {
    /// Slices of a batch, of so many items.
    pub fn parts(batch: u64, together: u64) -> impl Iterator<Item = Self> {
        parts(batch, together).map(|(first, count)| Self { first, count })
    }

    /// These batch items of a view `[batch, ...]`.
    pub fn of(self, view: View) -> View {
        view.part(0, self.first, self.count)
    }

    /// As many items from the start of scratch.
    pub fn of_scratch(self, view: View) -> View {
        view.part(0, 0, self.count)
    }
}

/// Some rows of some batch items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first batch item.
    pub item: u64,
    /// Batch items.
    pub items: u64,
    /// The first row of each.
    pub row: u64,
    /// Rows of each.
    pub rows: u64,
}

impl Slice {
    /// These rows of a view `[batch, rows, columns]`.
    pub fn of(&self, view: View) -> View {
        view.part(0, self.item, self.items).part(1, self.row, self.rows)
    }
}

/// Slices of views `[batch, rows, columns]` that have as many rows, such that a binding holds one of each, and none has more than `most` rows.
pub fn slices(limits: &PlanLimits, views: &[View], most: u64) -> Vec<Slice> {
    let Some(first) = views.first() else { return Vec::new() };
    let (batch, rows, budget) = (first.size(0), first.size(1), Budget::of_binding(limits));
    let fitting = |axis: usize| views.iter().map(|view| budget.fitting(view.stride(axis))).min().unwrap_or(0);
    let items = fitting(0).min(most / rows.max(1));
    if items > 0 {
        return parts(batch, items).map(|(item, items)| Slice { item, items, row: 0, rows }).collect();
    }
    let together = fitting(1).min(most).clamp(1, rows.max(1));
    let of_item = |item| parts(rows, together).map(move |(row, rows)| Slice { item, items: 1, row, rows });
    (0..batch).flat_map(of_item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::BufferId;

    #[test]
    fn slices_cover_all_rows_once_within_the_budget() {
        let view = View::of(BufferId::default(), &[3, 10, 8]);
        for (bytes, most) in [(1 << 20, u64::MAX), (BINDING_SLACK + 4 * 100, u64::MAX), (BINDING_SLACK + 4 * 30, 3), (0, 4)] {
            let limits = PlanLimits { binding_bytes: bytes, ..PlanLimits::default() };
            let all = slices(&limits, &[view], most);
            let rows = |slice: &Slice| slice.items * slice.rows;
            assert_eq!(all.iter().map(rows).sum::<u64>(), 30, "{bytes}");
            assert!(all.iter().all(|slice| rows(slice) <= most));
            let ends = all.iter().map(|slice| (slice.item, slice.row)).collect::<Vec<_>>();
            assert!(ends.windows(2).all(|pair| pair[0] < pair[1]));
        }
        assert_eq!(parts(7, 3).collect::<Vec<_>>(), [(0, 3), (3, 3), (6, 1)]);
        assert_eq!(parts(2, 0).count(), 2);
    }
}
