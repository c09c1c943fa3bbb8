//! Where in a file the numbers of a tensor are.

use std::borrow::Cow;

use super::element::ElementType;

/// Where in a file the elements of a tensor are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// The first element's byte.
    pub start: usize,
    /// Bytes from the first element to the end of the last.
    pub bytes: usize,
    /// Size and stride, in elements, of each axis that has more than one element; none where the elements lie row-major without gaps.
    pub axes: Vec<(usize, usize)>,
}

impl Place {
    /// The elements row-major, little-endian; `None` if the place is not within the file.
    pub fn gather<'f>(&self, file: &'f [u8], element: ElementType) -> Option<Cow<'f, [u8]>> {
        let region = file.get(self.start..self.start.checked_add(self.bytes)?)?;
        if self.axes.is_empty() {
            return Some(Cow::Borrowed(region));
        }
        let size = element.bits() / 8;
        let count: usize = self.axes.iter().map(|(count, _)| count).product();
        let mut gathered = Vec::with_capacity(count.checked_mul(size)?);
        let mut indices = vec![0; self.axes.len()];
        let mut at = 0;
        for _ in 0..count {
            gathered.extend_from_slice(region.get(at * size..(at + 1) * size)?);
            // The next index, innermost axis first; an axis that is through starts over and passes on to the one outside it.
            for (index, (count, stride)) in indices.iter_mut().zip(&self.axes).rev() {
                *index += 1;
                at += stride;
                if *index < *count {
                    break;
                }
                *index = 0;
                at -= count * stride;
            }
        }
        Some(Cow::Owned(gathered))
    }
}

/// A tensor within a storage, in elements, as PyTorch describes it.
pub(super) struct View<'v> {
    pub offset: usize,
    pub shape: &'v [usize],
    pub strides: &'v [usize],
}

impl View<'_> {
    /// Number of elements, if an integer holds it.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
    }

    /// The view's place in a file whose bytes from `start` on are a storage of `stored` elements. `None` if it reaches beyond the storage.
    pub fn place(&self, element: ElementType, start: usize, stored: usize) -> Option<Place> {
        let size = element.bits() / 8;
        if self.count()? == 0 {
            return Some(Place { start, ..Place::default() });
        }
        let axes: Vec<(usize, usize)> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|(count, _)| *count > 1).collect();
        let reach =
            axes.iter().try_fold(0_usize, |reach, (count, stride)| reach.checked_add((count - 1).checked_mul(*stride)?))?;
        let end = self.offset.checked_add(reach)?.checked_add(1)?;
        if end > stored {
            return None;
        }
        let start = start.checked_add(self.offset.checked_mul(size)?)?;
        let bytes = (reach + 1).checked_mul(size)?;
        Some(Place { file: 0, start, bytes, axes: if is_dense(&axes) { Vec::new() } else { axes } })
    }
}

/// Whether axes lie row-major without gaps.
fn is_dense(axes: &[(usize, usize)]) -> bool {
    let mut dense = 1_usize;
    axes.iter().rev().all(|(count, stride)| {
        let fits = *stride == dense;
        dense = dense.saturating_mul(*count);
        fits
    })
}
