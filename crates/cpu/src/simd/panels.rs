//! The right matrix of a product in the order in which the product reads it.
//!
//! Columns are cut into panels of up to [`PANEL_VECTORS`] vectors, as even as can be (13 vectors are 4, 3, 3 and 3). A panel holds its
//! part of each row, row behind row.

use std::ops::Range;

use pulp::Simd;

use super::matrix::{Aligned, Matrix};

/// Vectors of a panel at most, for instruction sets with 32 registers, and with fewer.
const PANEL_VECTORS: [usize; 2] = [4, 2];

/// A packed matrix `[inner, columns]`. It fits the instruction set that packed it.
#[derive(Clone, Debug, Default)]
pub struct Panels {
    data: Aligned,
    inner: usize,
    columns: usize,
    lanes: usize,
    count: usize,
}

/// A panel of [`Panels`].
#[derive(Clone, Copy, Debug)]
pub struct Panel<'e> {
    /// `[inner, vectors, lanes]`.
    pub elements: &'e [f32],
    /// Vectors of a row.
    pub vectors: usize,
    /// Its first column.
    pub first: usize,
    /// Its columns; the last vector may have more lanes.
    pub width: usize,
}

impl Panels {
    /// Packs a matrix of `inner` rows and `columns` columns. Memory of earlier contents is used again.
    #[inline(always)]
    pub fn pack<S: Simd>(&mut self, _: S, matrix: Matrix<'_>, inner: usize, columns: usize) {
        let most = if S::REGISTER_COUNT >= 32 { PANEL_VECTORS[0] } else { PANEL_VECTORS[1] };
        let all_vectors = columns.div_ceil(S::F32_LANES);
        let count = all_vectors.div_ceil(most);
        (self.inner, self.columns, self.lanes, self.count) = (inner, columns, S::F32_LANES, count);
        let mut rest = self.data.elements_mut(all_vectors * S::F32_LANES * inner);
        for index in 0..count {
            let (first, vectors) = place(all_vectors, count, index);
            let stride = vectors * S::F32_LANES;
            let (panel, others) = rest.split_at_mut(stride * inner);
            rest = others;
            let width = stride.min(columns - first * S::F32_LANES);
            if inner > 0 {
                pack_panel(panel, stride, width, matrix, first * S::F32_LANES);
            }
        }
    }

    /// Rows of the matrix: elements that are summed.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the packed matrix.
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.elements())
    }

    /// The columns of some panels.
    pub fn columns_of(&self, panels: Range<usize>) -> Range<usize> {
        let first = |panel: usize| if panel < self.count { self.place(panel).0 * self.lanes } else { self.columns };
        first(panels.start)..first(panels.end)
    }

    /// Some rows of a panel.
    #[inline(always)]
    pub fn panel(&self, index: usize, inner: Range<usize>) -> Panel<'_> {
        let (first, vectors) = self.place(index);
        let stride = vectors * self.lanes;
        let start = first * self.lanes * self.inner;
        let elements = &self.data.elements()[start + inner.start * stride..start + inner.end * stride];
        let first = first * self.lanes;
        Panel { elements, vectors, first, width: stride.min(self.columns - first) }
    }

    /// First vector of a panel, and how many it has.
    #[inline(always)]
    fn place(&self, panel: usize) -> (usize, usize) {
        place(self.columns.div_ceil(self.lanes), self.count, panel)
    }
}

/// First vector of one of `count` panels, and how many it has of all `vectors`.
#[inline(always)]
fn place(vectors: usize, count: usize, panel: usize) -> (usize, usize) {
    let (each, more) = (vectors / count, vectors % count);
    (panel * each + panel.min(more), each + usize::from(panel < more))
}

/// Columns that are transposed at a time.
const BLOCK: usize = 16;

/// Fills a panel with `width` columns of a matrix from `first` on; lanes beyond become zero.
#[inline(always)]
fn pack_panel(panel: &mut [f32], stride: usize, width: usize, matrix: Matrix<'_>, first: usize) {
    if width < stride {
        panel.chunks_exact_mut(stride).for_each(|row| row[width..].fill(0.0));
    }
    if matrix.column_stride == 1 {
        for (inner, row) in panel.chunks_exact_mut(stride).enumerate() {
            row[..width].copy_from_slice(&matrix.from(inner, first)[..width]);
        }
        return;
    }
    let inner = panel.len() / stride;
    let blocks = if matrix.row_stride == 1 { width / BLOCK } else { 0 };
    for block in 0..blocks {
        let columns: [&[f32]; BLOCK] = std::array::from_fn(|at| &matrix.from(0, first + block * BLOCK + at)[..inner]);
        for (at, row) in panel.chunks_exact_mut(stride).enumerate() {
            for (element, column) in row[block * BLOCK..][..BLOCK].iter_mut().zip(columns) {
                *element = column[at];
            }
        }
    }
    for column in blocks * BLOCK..width {
        let elements = matrix.from(0, first + column);
        for (inner, row) in panel.chunks_exact_mut(stride).enumerate() {
            row[column] = elements[inner * matrix.row_stride];
        }
    }
}
