//! Attention within windows: a patch sees the tokens of its own window, with the biases of their relative positions, and next to nothing of those that
//! became its neighbours by rolling. Padded positions are left out, head by head; tokens of other windows have no weight, and frames that the window
//! does not reach none by construction.

use orthoformer::Result;

use super::Architecture;
use crate::attribution::{Attribution, Operands, Patch, by_frames, finite, output};
use crate::model::Model;
use crate::networks::Network;

/// What is added to scores between positions that were no neighbours before the grid was rolled.
const MASK: f64 = -100.0;

/// A token of a window.
struct Position {
    /// Its number in the clip.
    token: usize,
    /// Its number among the window's positions.
    number: usize,
    /// Which piece of the grid it is of, along each axis, if a window has several.
    region: [u8; 3],
}

/// What the patch sees, of attention within windows.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let block = a.block(patch.block)?;
    let outputs = patch.operands(model)?;
    let table = model.tensor(&format!("{}attn.relative_position_bias_table", block.name))?;
    let (heads, query) = (a.heads_of(patch.block), patch.number());
    let positions = window(patch.at, patch.grid, [block.windows.size, block.windows.shift]);
    let own = positions.iter().find(|position| position.token == query);
    let bias = |head: usize, key: usize| {
        let Some((own, key)) = own.zip(positions.get(key)) else { return 0.0 };
        let row = bias_row(a.window.map(|side| side as usize), own.number, key.number);
        let bias = table.data().get(row * heads as usize + head).copied().unwrap_or_default();
        f64::from(bias) + if own.region == key.region { 0.0 } else { MASK }
    };
    let keys: Vec<usize> = positions.iter().map(|position| position.token).collect();
    let row = finite(Operands::new(output(&outputs, "operands")?, heads, patch.head).row(query, &keys, bias))?;
    let mut weights = vec![0.0; patch.grid.iter().product()];
    for (&token, weight) in keys.iter().zip(row) {
        if let Some(own) = weights.get_mut(token) {
            *own = weight;
        }
    }
    let mut frames = by_frames(&weights, patch.patches());
    for (step, frame) in frames.iter_mut().enumerate() {
        frame.is_by_construction = keys.iter().all(|token| token / patch.patches().max(1) != step);
    }
    Ok(frames.into())
}

/// The tokens of the window that has the token `at`, in order of its positions. Of windows are given the size and the shift.
fn window(at: [usize; 3], grid: [usize; 3], windows: [[u32; 3]; 2]) -> Vec<Position> {
    let [size, shift] = windows.map(|sides| sides.map(|side| side as usize));
    let [frames, rows, columns] = [0, 1, 2].map(|axis| along(at[axis], grid[axis], size[axis].max(1), shift[axis]));
    let mut positions = Vec::new();
    for t in &frames {
        for y in &rows {
            positions.extend(columns.iter().map(|x| Position {
                token: (t.0 * grid[1] + y.0) * grid[2] + x.0,
                number: (t.1 * size[1] + y.1) * size[2] + x.1,
                region: [t.2, y.2, x.2],
            }));
        }
    }
    positions
}

/// Along one axis the coordinates of the window that has `at`, each with its position in the window and its region.
fn along(at: usize, len: usize, size: usize, shift: usize) -> Vec<(usize, usize, u8)> {
    let padded = len.next_multiple_of(size);
    let rolled = (at + padded - shift) % padded;
    let first = rolled - rolled % size;
    let region = |rolled: usize| match shift {
        0 => 0,
        _ => u8::from(rolled >= padded - size) + u8::from(rolled >= padded - shift),
    };
    let positions = (first..first + size).map(|rolled| ((rolled + shift) % padded, rolled - first, region(rolled)));
    positions.filter(|&(coordinate, ..)| coordinate < len).collect()
}

/// The row of a table for windows `[frames, rows, columns]` that has the bias between two positions. Smaller windows have its first positions, by their numbers.
fn bias_row([frames, rows, columns]: [usize; 3], from: usize, to: usize) -> usize {
    let position = |number: usize| [number / (rows * columns), number / columns % rows, number % columns];
    let (from, to) = (position(from), position(to));
    let last = [frames - 1, rows - 1, columns - 1];
    let [t, y, x] = [0, 1, 2].map(|axis| (from[axis] + last[axis]).saturating_sub(to[axis]));
    (t * (2 * rows - 1) + y) * (2 * columns - 1) + x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_padded_rolled_and_cut() {
        // Seven positions in windows of four, rolled by two: 2 3 4 5 | 6 _ 0 1.
        let coordinates = |at| along(at, 7, 4, 2).into_iter().map(|(coordinate, ..)| coordinate).collect::<Vec<_>>();
        assert_eq!(coordinates(3), [2, 3, 4, 5]);
        assert_eq!(coordinates(0), [6, 0, 1]);
        assert_eq!(along(6, 7, 4, 2), [(6, 0, 1), (0, 2, 2), (1, 3, 2)]);
        assert_eq!(along(5, 7, 4, 0), [(4, 0, 0), (5, 1, 0), (6, 2, 0)]);
    }

    #[test]
    fn biases_are_numbered_by_offsets() {
        // Offsets of rows, then of columns, from one less than the window's side below zero.
        assert_eq!(bias_row([1, 2, 3], 0, 0), 5 + 2);
        assert_eq!(bias_row([1, 2, 3], 5, 0), 2 * 5 + 4);
        assert_eq!(bias_row([1, 2, 3], 0, 5), 0);
    }
}
