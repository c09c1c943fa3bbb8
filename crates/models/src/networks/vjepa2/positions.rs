//! By what queries and keys turn.
//!
//! Along an axis the published code turns pairs of neighbouring elements, but takes their angles from a table of all frequencies, repeated once: element `e`
//! of an axis of `2 n` elements has frequency `e mod n`. So the two elements of a pair have angles of their own, and no pair turns as a whole. Weights were trained
//! with that.

use orthoformer::{Result, Tensor};

use super::Architecture;

/// Frequencies fall from 1 to nearly one in so many.
const BASE: f64 = 10_000.0;

/// A cosine or sine.
type Wave = fn(f64) -> f64;

/// What the rows of a position in the table hold: a wave, of the first or second element of pairs.
const ROWS: [(Wave, u32); 4] = [(f64::cos, 0), (f64::cos, 1), (f64::sin, 0), (f64::sin, 1)];

/// Pairs of elements that turn along one axis, of heads of this size: each axis has a third of the elements, rounded down to pairs.
pub(super) fn pairs(head_size: u32) -> u32 {
    head_size / 3 / 2
}

/// Positions along the longest axis of a grid.
pub(super) fn count(grid: [u32; 3]) -> u32 {
    grid.into_iter().max().unwrap_or(0)
}

/// The plan's input `positions [positions, 4, pairs]`, as the kernel `rotary` takes it, the same for all axes: cosines of the first elements of pairs, of the second
/// ones, and the sines of both.
///
/// # Errors
/// Those of [`Architecture::shape`].
pub(super) fn table(architecture: &Architecture) -> Result<Tensor> {
    let pairs = pairs(architecture.shape(1)?.head_size());
    let count = count(architecture.grid()?);
    let frequency = |element: u32| BASE.powf(-f64::from(element % pairs) / f64::from(pairs));
    let row = |position: u32, (wave, second): (fn(f64) -> f64, u32)| {
        (0..pairs).map(move |pair| wave(f64::from(position) * frequency(2 * pair + second)) as f32)
    };
    let values = (0..count).flat_map(|position| ROWS.into_iter().flat_map(move |kind| row(position, kind)));
    Tensor::new(vec![count as usize, 4, pairs as usize], values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_third_of_a_head_in_pairs() {
        assert_eq!([6, 7, 11, 12, 20, 64, 80, 88].map(pairs), [1, 1, 1, 2, 3, 10, 13, 14]);
    }
}
