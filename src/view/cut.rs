//! Views of buffers, and the verbs that cut them.

use super::{BINDING_ALIGNMENT, BoundView, BufferId, MAX_AXES};
use crate::error::Result;
use crate::shape::fits_u32;

/// Most axes of a view: those with a stride in shaders, and the elements of a row.
const MAX_RANK: usize = MAX_AXES + 1;

/// An axis: its size, and its stride in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    size: u64,
    stride: u64,
}

const ONE: Axis = Axis { size: 1, stride: 0 };

/// A part of a buffer, seen as an array of up to six axes. Axes are numbered from the outermost.
///
/// Verbs never fail: axes or sizes that do not fit are found when a dispatch is made. An axis of size one fits any size, and so
/// do missing leading axes: the elements are the same all along it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    buffer: BufferId,
    offset: u64,
    rank: usize,
    axes: [Axis; MAX_RANK],
    extra: Option<u64>,
    /// Whether all cuts so far fitted the axes.
    fits: bool,
}

impl Default for Axis {
    fn default() -> Self {
        ONE
    }
}

impl View {
    /// A whole buffer of this shape, without gaps. Axes beyond the sixth are left out.
    pub fn of(buffer: BufferId, shape: &[u64]) -> Self {
        let mut view = Self {
            buffer,
            offset: 0,
            rank: shape.len().min(MAX_RANK),
            axes: [ONE; MAX_RANK],
            extra: None,
            fits: shape.len() <= MAX_RANK,
        };
        let mut stride = 1u64;
        for (axis, &size) in view.axes.iter_mut().zip(shape).rev() {
            *axis = Axis { size, stride };
            stride = stride.saturating_mul(size);
        }
        view
    }

    /// The buffer.
    pub fn buffer(&self) -> BufferId {
        self.buffer
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The size of an axis; 1 beyond the last.
    pub fn size(&self, axis: usize) -> u64 {
        self.axes().get(axis).unwrap_or(&ONE).size
    }

    /// The stride of an axis, in elements; 0 beyond the last.
    pub fn stride(&self, axis: usize) -> u64 {
        self.axes().get(axis).unwrap_or(&ONE).stride
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> Vec<u64> {
        self.axes().iter().map(|axis| axis.size).collect()
    }

    fn axes(&self) -> &[Axis] {
        &self.axes[..self.rank]
    }

    fn with_axes(&self, offset: u64, axes: impl IntoIterator<Item = Axis>) -> Self {
        let mut view = Self { offset, rank: 0, axes: [ONE; MAX_RANK], ..*self };
        for axis in axes {
            match view.axes.get_mut(view.rank) {
                Some(slot) => *slot = axis,
                None => return view.unfit(),
            }
            view.rank += 1;
        }
        view
    }

    /// `count` along an axis, from `first` on.
    #[must_use]
    pub fn part(mut self, axis: usize, first: u64, count: u64) -> Self {
        let is_last = axis + 1 == self.rank;
        let Some(found) = self.axes[..self.rank].get_mut(axis) else { return self.unfit() };
        let skipped = first.saturating_mul(found.stride);
        let fits = first.saturating_add(count) <= found.size;
        found.size = count;
        self.offset = self.offset.saturating_add(skipped);
        // The extra row has elements of its own; along other axes it would have to be known which of them it has.
        self.extra = self.extra.map(|extra| if is_last { extra.saturating_add(skipped) } else { extra });
        let moves_extra = self.extra.is_some() && !is_last && first > 0;
        if fits && !moves_extra { self } else { self.unfit() }
    }

    /// The same, which no dispatch takes: a cut did not fit.
    fn unfit(self) -> Self {
        Self { fits: false, ..self }
    }

    /// Whether all cuts so far fitted the axes.
    pub(crate) fn fits(&self) -> bool {
        self.fits
    }

    /// The same from `first` on to the end of an axis.
    #[must_use]
    pub fn from(self, axis: usize, first: u64) -> Self {
        self.part(axis, first, self.size(axis).saturating_sub(first))
    }

    /// One index along an axis, which is removed.
    #[must_use]
    pub fn index(&self, axis: usize, index: u64) -> Self {
        let one = self.part(axis, index, 1);
        let others = one.axes().iter().enumerate().filter(|(other, _)| *other != axis).map(|(_, axis)| *axis);
        one.with_axes(one.offset, others)
    }

    /// An axis in two: `size / inner` times `inner`.
    #[must_use]
    pub fn split(&self, axis: usize, inner: u64) -> Self {
        let cut = |(number, &found): (usize, &Axis)| {
            let outer = Axis { size: found.size / inner.max(1), stride: found.stride.saturating_mul(inner) };
            let both = [outer, Axis { size: inner, ..found }];
            if number == axis { both.to_vec() } else { vec![found] }
        };
        let divides = axis < self.rank && inner > 0 && self.size(axis).is_multiple_of(inner);
        let view = self.with_axes(self.offset, self.axes().iter().enumerate().flat_map(cut));
        if divides { view } else { view.unfit() }
    }

    /// An axis merged with the one behind it; there must be no gaps between them.
    #[must_use]
    pub fn join(&self, axis: usize) -> Self {
        let mut axes = self.axes().to_vec();
        if axis + 1 >= axes.len() {
            return self.unfit();
        }
        let inner = axes.remove(axis + 1);
        let outer = axes[axis];
        let follows = outer.size == 1 || outer.stride == inner.stride.saturating_mul(inner.size);
        axes[axis] = Axis { size: outer.size.saturating_mul(inner.size), stride: inner.stride };
        let view = self.with_axes(self.offset, axes);
        if follows { view } else { view.unfit() }
    }

    /// The axes in another order: axis `i` of the new view is axis `order[i]` of this one.
    #[must_use]
    pub fn ordered(&self, order: &[usize]) -> Self {
        self.with_axes(self.offset, order.iter().map(|&axis| self.axes().get(axis).copied().unwrap_or(ONE)))
    }

    /// A new axis ahead of `axis` with stride zero.
    #[must_use]
    pub fn with_axis(&self, axis: usize, size: u64) -> Self {
        let (ahead, behind) = self.axes().split_at(axis.min(self.rank));
        let new = Axis { size, stride: 0 };
        self.with_axes(self.offset, ahead.iter().chain([&new]).chain(behind).copied())
    }

    /// The same with another stride of an axis, in elements: steps of several, or rows that overlap.
    #[must_use]
    pub fn with_stride(mut self, axis: usize, stride: u64) -> Self {
        if let Some(found) = self.axes.get_mut(axis) {
            found.stride = stride;
        }
        self
    }

    /// The element of the buffer at an index; axes that are left out are at 0.
    pub(crate) fn at(&self, index: &[u64]) -> usize {
        let beyond: u64 = self.axes().iter().zip(index).map(|(axis, index)| axis.stride * index).sum();
        (self.offset + beyond) as usize
    }

    /// The same with an extra row, which is the first one of another view of the buffer.
    #[must_use]
    pub fn with_extra(self, row: &Self) -> Self {
        let fits = self.fits && row.fits && row.buffer == self.buffer;
        Self { extra: Some(row.offset), fits, ..self }
    }

    /// The extra rows as a view of their own, with one row in place of the rows of this one.
    pub(crate) fn extra_rows(&self) -> Option<Self> {
        let rows = self.rank.saturating_sub(2);
        let one = |offset| Self { offset, extra: None, ..*self }.part(rows, 0, 1);
        self.extra.filter(|_| self.size(rows) > 0).map(one)
    }

    /// The same without the extra row.
    pub(crate) fn without_extra(self) -> Self {
        Self { extra: None, ..self }
    }

    /// Whether there is an extra row.
    pub(crate) fn has_extra(&self) -> bool {
        self.extra.is_some()
    }

    /// The first element of all.
    pub(crate) fn first(&self) -> u64 {
        self.extra.map_or(self.offset, |extra| extra.min(self.offset))
    }

    /// Size and stride of each of `rank` axes. Those that are missing are put ahead; there must not be more.
    pub(crate) fn padded(&self, rank: usize) -> Option<Vec<(u64, u64)>> {
        let missing = rank.checked_sub(self.rank)?;
        let axes = std::iter::repeat_n(&ONE, missing).chain(self.axes());
        Some(axes.map(|axis| (axis.size, if axis.size == 1 { 0 } else { axis.stride })).collect())
    }

    /// The view in a binding that begins with `first`.
    pub(crate) fn bound(&self, first: u64, strides: &[u64]) -> Result<BoundView> {
        let strides: Vec<u32> = strides.iter().map(|&stride| fits_u32("stride of a view", stride)).collect::<Result<_>>()?;
        let from_first = |element: u64| fits_u32("offset of a view", element.saturating_sub(first));
        let view = BoundView::new(from_first(self.offset)?, &strides);
        Ok(match self.extra {
            Some(extra) => view.with_extra(from_first(extra)?),
            None => view,
        })
    }
}

/// First element of a binding that holds this element.
pub(crate) fn aligned(element: u64) -> u64 {
    element - element % BINDING_ALIGNMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strides(view: &View) -> Vec<u64> {
        view.axes().iter().map(|axis| axis.stride).collect()
    }

    #[test]
    fn packed_queries_keys_and_values() {
        // [batch, tokens, 3 C] with a class token, four heads of eight, two frames of six patches.
        let packed = View::of(BufferId(3), &[2, 13, 96]);
        let parts = packed.split(2, 32).split(3, 8);
        let key = parts.index(2, 1).from(1, 1).split(1, 6).ordered(&[0, 3, 1, 2, 4]);
        assert_eq!((key.buffer().index(), key.shape(), strides(&key)), (3, vec![2, 4, 2, 6, 8], vec![13 * 96, 8, 6 * 96, 96, 1]));
        assert_eq!(key.offset, 96 + 32);
        assert_eq!(key.join(2).shape(), [2, 4, 12, 8]);
        assert_eq!(key.with_axis(1, 5).shape(), [2, 5, 4, 2, 6, 8]);
        let class = packed.part(1, 0, 1);
        assert!(key.with_extra(&class).has_extra() && key.with_extra(&class).first() == 0);
    }

    #[test]
    fn what_does_not_fit_is_no_panic() {
        let view = View::of(BufferId(0), &[u64::MAX, 4]);
        assert_eq!(view.part(7, 1, 1).index(9, 1).split(5, 0).join(4).ordered(&[8]).shape(), [1]);
        let whole = View::of(BufferId(0), &[4, 6]);
        assert!(whole.part(0, 1, 3).fits() && whole.split(1, 2).fits() && whole.join(0).fits() && whole.index(1, 5).fits());
        let rows = whole.with_extra(&whole.index(0, 2));
        assert!(rows.part(1, 2, 3).fits() && rows.part(0, 0, 2).fits());
        assert_eq!(rows.part(1, 2, 3).extra, Some(14), "it has columns too");
        let wrong = [
            whole.part(0, 2, 3),
            whole.split(1, 4),
            whole.part(1, 0, 3).join(0),
            whole.index(2, 0),
            rows.part(0, 1, 2),
            whole.with_extra(&View::of(BufferId(1), &[6])),
            View::of(BufferId(0), &[1; 7]),
            View::of(BufferId(0), &[2; 6]).with_axis(0, 2),
        ];
        assert!(wrong.iter().all(|view| !view.fits()), "{wrong:?}");
        assert_eq!(view.padded(1), None);
        assert_eq!(View::of(BufferId(0), &[4]).padded(3), Some(vec![(1, 0), (1, 0), (4, 1)]));
        assert!(view.part(0, u64::MAX, 1).bound(0, &[1]).is_err());
    }
}
