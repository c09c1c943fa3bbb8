//! Views as shaders and references see them: relative to a binding.

/// A view relative to its binding, as shaders see it. All fields are in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct BoundView {
    /// Strides of the first four axes.
    strides: [u32; 4],
    /// Stride of the fifth axis.
    inner: u32,
    /// First element.
    pub offset: u32,
    /// First element of the extra row: the class token's key, or what stands for padding.
    pub extra: u32,
    /// Padding to the size of a struct in a uniform binding.
    padding: u32,
}

/// Extent of a kernel's accesses to a binding, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// One more than the highest index.
    pub end: u64,
    /// Most different elements.
    pub elements: u64,
}

impl BoundView {
    /// Rows that begin at an offset, with the strides of up to [`MAX_AXES`](super::MAX_AXES) axes; those beyond are ignored.
    pub fn new(offset: u32, strides: &[u32]) -> Self {
        let stride = |axis: usize| strides.get(axis).copied().unwrap_or(0);
        Self { strides: std::array::from_fn(stride), inner: stride(4), offset, extra: 0, padding: 0 }
    }

    /// Dense rows of `width` elements along axes of these sizes, from an element on. Also returns the element behind them.
    pub(crate) fn dense(offset: u32, sizes: &[u64], width: u64) -> (Self, u32) {
        let capped = |elements: u64| elements.min(u32::MAX.into()) as u32;
        let mut strides = Vec::new();
        let all = sizes.iter().rev().fold(width, |stride, &size| {
            strides.insert(0, capped(stride));
            stride.saturating_mul(size)
        });
        (Self::new(offset, &strides), capped(all.saturating_add(offset.into())))
    }

    /// The same with an extra row.
    #[must_use]
    pub fn with_extra(self, extra: u32) -> Self {
        Self { extra, ..self }
    }

    /// The same, beginning so many elements later.
    #[must_use]
    pub fn later(self, elements: u32) -> Self {
        Self { offset: self.offset + elements, ..self }
    }

    /// The stride of an axis.
    pub fn stride(&self, axis: usize) -> u32 {
        *self.strides.get(axis).unwrap_or(&self.inner)
    }

    /// The same with another stride of an axis.
    #[must_use]
    pub fn with_stride(mut self, axis: usize, stride: u32) -> Self {
        *self.strides.get_mut(axis).unwrap_or(&mut self.inner) = stride;
        self
    }

    /// The element that the row at this index begins with.
    pub fn at(&self, index: &[u32]) -> usize {
        self.offset as usize + self.beyond_offset(index)
    }

    /// The element that the extra row at this index begins with.
    pub fn extra_at(&self, index: &[u32]) -> usize {
        self.extra as usize + self.beyond_offset(index)
    }

    fn beyond_offset(&self, index: &[u32]) -> usize {
        index.iter().enumerate().map(|(axis, &index)| index as usize * self.stride(axis) as usize).sum()
    }

    /// The row of `width` elements at an index.
    pub fn row<'e>(&self, elements: &'e [f32], index: &[u32], width: u32) -> &'e [f32] {
        &elements[self.at(index)..][..width as usize]
    }

    /// The same to be written.
    pub fn row_mut<'e>(&self, elements: &'e mut [f32], index: &[u32], width: u32) -> &'e mut [f32] {
        &mut elements[self.at(index)..][..width as usize]
    }

    /// Accesses to rows of `width` elements along axes of these sizes. Along an axis of stride zero they are the same elements.
    pub fn extent(&self, sizes: &[u64], width: u64) -> Extent {
        self.extent_from(self.offset, sizes, width)
    }

    /// Accesses to extra rows along the first axes, of these sizes.
    pub fn extra_extent(&self, sizes: &[u64], width: u64) -> Extent {
        self.extent_from(self.extra, sizes, width)
    }

    fn extent_from(&self, offset: u32, sizes: &[u64], width: u64) -> Extent {
        let offset = u64::from(offset);
        let axes = || sizes.iter().enumerate().map(|(axis, &size)| (size, u64::from(self.stride(axis))));
        let last = axes().map(|(size, stride)| size.saturating_sub(1).saturating_mul(stride));
        let end = last.fold(offset.saturating_add(width), u64::saturating_add);
        let different = axes().filter(|(_, stride)| *stride > 0).fold(width, |all, (size, _)| all.saturating_mul(size));
        Extent { end, elements: different.min(end - offset.min(end)) }
    }

    /// Checks that all rows begin at multiples of `elements`. The error is the name and value of what does not.
    pub fn require_multiple_of(&self, elements: u32) -> Result<(), (&'static str, u32)> {
        let named = [
            ("offset", self.offset),
            ("extra offset", self.extra),
            ("stride 0", self.strides[0]),
            ("stride 1", self.strides[1]),
            ("stride 2", self.strides[2]),
            ("stride 3", self.strides[3]),
            ("stride 4", self.inner),
        ];
        named.into_iter().find(|(_, value)| value % elements != 0).map_or(Ok(()), Err)
    }
}

impl Extent {
    /// Nothing.
    pub const NONE: Self = Self { end: 0, elements: 0 };

    /// So many elements that follow each other.
    pub fn dense(offset: u32, elements: u64) -> Self {
        Self { end: elements.saturating_add(offset.into()), elements }
    }

    /// Accesses to both, which do not overlap.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { end: self.end.max(other.end), elements: self.elements.saturating_add(other.elements) }
    }
}

/// All indices along axes of these sizes, the last one fastest.
pub fn indices<const N: usize>(sizes: [u32; N]) -> impl Iterator<Item = [u32; N]> {
    let total: u64 = sizes.iter().map(|&size| u64::from(size)).product();
    (0..total).map(move |mut number| {
        let mut index = [0; N];
        for (axis, size) in sizes.into_iter().enumerate().rev() {
            index[axis] = (number % u64::from(size)) as u32;
            number /= u64::from(size);
        }
        index
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_end_behind_the_last_element_and_count_each_once() {
        let extent = |offset, strides: &[u32], sizes: &[u64], width| BoundView::new(offset, strides).extent(sizes, width);
        assert_eq!(extent(5, &[10, 4], &[3, 2], 4), Extent { end: 5 + 20 + 4 + 4, elements: 24 });
        // A bias that all rows share counts once, and overlapping rows count as what they span.
        assert_eq!(extent(1, &[0], &[7], 4), Extent { end: 5, elements: 4 });
        assert_eq!(extent(0, &[1], &[3], 4), Extent { end: 6, elements: 6 });
        assert_eq!(Extent::dense(2, 3).and(extent(9, &[], &[], 1)), Extent { end: 10, elements: 4 });
        assert_eq!(extent(u32::MAX, &[u32::MAX], &[u64::MAX], u64::MAX).end, u64::MAX);
    }

    #[test]
    fn indices_are_in_order() {
        let all: Vec<[u32; 2]> = indices([2, 3]).collect();
        assert_eq!(all, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(indices([3, 0]).count(), 0);
    }

    #[test]
    fn rows_lie_where_strides_say() {
        let view = BoundView::new(2, &[100, 20, 7, 3, 1]).with_extra(50);
        assert_eq!(view.at(&[1, 1, 1, 1, 1]), 2 + 131);
        assert_eq!(view.at(&[2]), 202);
        assert_eq!(view.extra_at(&[1]), 150);
        assert_eq!(view.with_stride(4, 9).stride(4), 9);
        assert_eq!(view.later(3).offset, 5);
        assert_eq!(view.require_multiple_of(2), Err(("stride 2", 7)));
    }
}
