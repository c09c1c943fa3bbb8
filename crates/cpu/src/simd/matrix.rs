//! Views of matrices in slices, and buffers that start at a cache line.

use bytemuck::{Pod, Zeroable};

/// Elements of a cache line.
const LINE: usize = 16;

/// A cache line: vectors of a buffer of these never straddle two.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Elements that start at a cache line. The capacity stays, so that a steady state allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Aligned {
    lines: Vec<Line>,
}

impl Aligned {
    /// At least so many elements, whose values are those of earlier uses.
    pub fn elements_mut(&mut self, count: usize) -> &mut [f32] {
        let lines = count.div_ceil(LINE);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::zeroed());
        }
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..count]
    }

    /// All elements.
    pub fn elements(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }
}

/// A matrix with any strides, in elements, which starts where the slice starts.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'e> {
    pub elements: &'e [f32],
    /// From a row to the next.
    pub row_stride: usize,
    /// From a column to the next.
    pub column_stride: usize,
}

impl<'e> Matrix<'e> {
    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { elements: self.elements, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// The elements from a row and column on.
    pub fn from(&self, row: usize, column: usize) -> &'e [f32] {
        &self.elements[row * self.row_stride + column * self.column_stride..]
    }
}

/// Rows whose elements follow each other; the first starts where the slice starts.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'e> {
    pub elements: &'e [f32],
    /// From a row to the next, in elements; 0 if all rows are the same.
    pub stride: usize,
}

impl<'e> Rows<'e> {
    /// `width` elements of a row, from a column on.
    #[inline(always)]
    pub fn part(&self, row: usize, column: usize, width: usize) -> &'e [f32] {
        &self.elements[row * self.stride + column..][..width]
    }

    /// The rows from one on.
    #[must_use]
    pub fn from(&self, row: usize) -> Self {
        Self { elements: &self.elements[row * self.stride..], stride: self.stride }
    }
}

/// Rows to write, likewise.
#[derive(Debug)]
pub struct RowsMut<'e> {
    pub elements: &'e mut [f32],
    /// From a row to the next, in elements.
    pub stride: usize,
}

impl RowsMut<'_> {
    /// `width` elements of a row, from a column on.
    #[inline(always)]
    pub fn part(&mut self, row: usize, column: usize, width: usize) -> &mut [f32] {
        &mut self.elements[row * self.stride + column..][..width]
    }

    /// The rows from one on.
    pub fn from(&mut self, row: usize) -> RowsMut<'_> {
        RowsMut { elements: &mut self.elements[row * self.stride..], stride: self.stride }
    }
}

/// Copies `rows` rows of `columns` elements from a matrix with any strides, row behind row.
pub fn gather_rows(matrix: Matrix<'_>, rows: usize, columns: usize, buffer: &mut Aligned) {
    let gathered = buffer.elements_mut(rows * columns);
    if matrix.column_stride == 1 {
        for (row, target) in gathered.chunks_exact_mut(columns.max(1)).enumerate() {
            target.copy_from_slice(&matrix.from(row, 0)[..columns]);
        }
        return;
    }
    for column in 0..columns {
        for row in 0..rows {
            gathered[row * columns + column] = matrix.from(row, column)[0];
        }
    }
}
