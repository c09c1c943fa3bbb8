//! Tokens on a grid of frames, rows and columns.

use crate::view::View;

/// Tokens `[batch, frames * rows * columns, channels]` by their positions: `[batch, frames, rows, columns, channels]`.
pub fn on_grid(tokens: View, [_, rows, columns]: [u64; 3]) -> View {
    tokens.split(1, columns).split(1, rows)
}

/// The same as a clip, channels ahead of positions: `[batch, channels, frames, rows, columns]`.
pub fn as_clip(tokens: View, grid: [u64; 3]) -> View {
    on_grid(tokens, grid).ordered(&[0, 4, 1, 2, 3])
}
