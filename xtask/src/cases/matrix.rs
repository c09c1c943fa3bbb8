//! Matrices of float64, row by row, with the few products that the formulas need.

use std::ops::Range;

/// A matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// The matrix with `value(row, column)` at each position.
    pub fn from_fn(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let values = (0..rows * columns).map(|index| value(index / columns, index % columns)).collect();
        Self { rows, columns, values }
    }

    /// The identity of `size` rows.
    pub fn identity(size: usize) -> Self {
        Self::from_fn(size, size, |row, column| if row == column { 1.0 } else { 0.0 })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// The element of a row and a column.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.row(row)[column]
    }

    /// All elements, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// `A'`.
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.columns, self.rows, |row, column| self.at(column, row))
    }

    /// `A B`.
    pub fn times(&self, other: &Self) -> Self {
        self.times_transposed(&other.transposed())
    }

    /// `A B'`.
    pub fn times_transposed(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, other.rows, |row, column| dot(self.row(row), other.row(column)))
    }

    /// `A + B`.
    pub fn plus(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, self.columns, |row, column| self.at(row, column) + other.at(row, column))
    }

    /// `factor A`.
    pub fn scaled(&self, factor: f64) -> Self {
        self.map(|value| factor * value)
    }

    /// Every element through a function.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self::from_fn(self.rows, self.columns, |row, column| function(self.at(row, column)))
    }

    /// The rows of these numbers, in this order.
    pub fn pick(&self, rows: &[usize]) -> Self {
        Self::from_fn(rows.len(), self.columns, |row, column| self.at(rows[row], column))
    }

    /// Consecutive rows.
    pub fn row_range(&self, rows: Range<usize>) -> Self {
        Self::from_fn(rows.len(), self.columns, |row, column| self.at(rows.start + row, column))
    }

    /// Consecutive columns.
    pub fn column_range(&self, columns: Range<usize>) -> Self {
        Self::from_fn(self.rows, columns.len(), |row, column| self.at(row, columns.start + column))
    }

    /// The rows of this matrix above those of another.
    pub fn above(&self, other: &Self) -> Self {
        let values = [self.values.as_slice(), &other.values].concat();
        Self { rows: self.rows + other.rows, columns: self.columns, values }
    }

    /// Each row divided into shares by a softmax.
    pub fn softmax(&self) -> Self {
        let values = (0..self.rows).flat_map(|row| softmax(self.row(row))).collect();
        Self { values, ..*self }
    }

    /// The largest sum over a row of the elements' sizes.
    pub fn largest_row_sum(&self) -> f64 {
        (0..self.rows).map(|row| self.row(row).iter().map(|value| value.abs()).sum()).fold(0.0, f64::max)
    }
}

/// `a . b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `exp(x_i - max x) / sum_j exp(x_j - max x)`.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logits.iter().map(|logit| (logit - peak).exp()).collect();
    let sum: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}
