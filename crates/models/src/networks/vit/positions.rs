//! What is added to every token ahead of the first block.

use orthoformer::{Error, Result, Tensor};

use super::{Architecture, Kind};
use crate::checkpoint::Checkpoint;
use crate::networks::square_root;

/// What is added to every token.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub(super) fn table(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    match architecture.kind {
        Kind::VideoMae(_) => fixed(checkpoint, architecture),
        _ => learned(checkpoint, architecture),
    }
}

/// Without class token, `[N, C]`: the embedding's bias, and of position `n` in channel `c` the sine, in odd channels the cosine, of `n / 10000^(2 (c div 2) / C)`.
/// As in the library sines are rounded to float32 before they are added.
fn fixed(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    let (c, patches) = (architecture.channels as usize, architecture.shape(1)?.tokens() as usize);
    let bias = checkpoint.read_shaped(&format!("{}embeddings.patch_embeddings.projection.bias", architecture.prefix()), &[c])?;
    let rates: Vec<f64> = (0..c).map(|channel| 10000f64.powf((channel / 2 * 2) as f64 / c as f64)).collect();
    let of = |position: usize, channel: usize, rate: f64| {
        let angle = position as f64 / rate;
        (if channel.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let row = |position| {
        let values = rates.iter().zip(&bias).enumerate();
        values.map(move |(channel, (&rate, bias))| of(position, channel, rate) + bias)
    };
    Tensor::new(vec![patches, c], (0..patches).flat_map(row).collect())
}

/// With class token, `[1+N, C]`: in row 0 the class token and its position, in the others the embedding's bias and the positions in space and
/// time. A TimeSformer's positions and times are resized to those of the clip: the nearest is taken, as in the library.
fn learned(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    let c = architecture.channels as usize;
    let [frames, rows, columns] = architecture.grid()?.map(|size| size as usize);
    let prefix = architecture.prefix();
    let named = |name: &str| format!("{prefix}embeddings.{name}");
    let read = |name: &str, expected: &[usize]| checkpoint.read_shaped(&named(name), expected);
    let rows_of = |name: &str| match checkpoint.info(&named(name)).map(|info| info.shape.as_slice()) {
        Some(&[1, rows, _]) => rows,
        // Missing, or of another shape: reading says so.
        _ => 1,
    };
    let class = read("cls_token", &[1, 1, c])?;
    let bias = read("patch_embeddings.projection.bias", &[c])?;
    let trained = rows_of("position_embeddings");
    let positions = read("position_embeddings", &[1, trained, c])?;
    let (own, positions) = positions.split_at(c);
    let mut table: Vec<f32> = own.iter().zip(&class).map(|(a, b)| a + b).collect();
    let patches = frames * rows * columns;
    let row_of = |values: &[f32], row: usize| values.get(row * c..(row + 1) * c).map(<[f32]>::to_vec).unwrap_or_default();
    if architecture.kind == Kind::Vivit {
        if trained != 1 + patches {
            let (found, expected) = (vec![1, trained, c], format!("[1, {}, {c}]", 1 + patches));
            return Err(Error::WrongShape { name: named("position_embeddings"), found, expected });
        }
        (0..patches).for_each(|patch| table.extend(row_of(positions, patch).iter().zip(&bias).map(|(a, b)| a + b)));
        return Tensor::new(vec![1 + patches, c], table);
    }
    let trained_times = rows_of("time_embeddings");
    let times = read("time_embeddings", &[1, trained_times, c])?;
    let position = nearest_positions(trained - 1, [rows, columns]).ok_or_else(|| Error::WrongShape {
        name: named("position_embeddings"),
        found: vec![1, trained, c],
        expected: "positions of a square grid, to be resized to another".to_owned(),
    })?;
    for frame in 0..frames {
        let time = row_of(&times, nearest(frame, trained_times, frames));
        for &from in &position {
            let sum = row_of(positions, from).into_iter().zip(&time).zip(&bias);
            table.extend(sum.map(|((position, time), bias)| (f64::from(position) + f64::from(*time) + f64::from(*bias)) as f32));
        }
    }
    Tensor::new(vec![1 + patches, c], table)
}

/// For each position of a grid the nearest of those that were trained, on a square grid unless it is the same.
fn nearest_positions(trained: usize, [rows, columns]: [usize; 2]) -> Option<Vec<usize>> {
    if trained == rows * columns {
        return Some((0..trained).collect());
    }
    let side = square_root(trained)? as usize;
    let position = |position: usize| nearest(position / columns, side, rows) * side + nearest(position % columns, side, columns);
    Some((0..rows * columns).map(position).collect())
}

/// The nearest of `from` positions to one of `to`, with PyTorch's float32 factor, which now and then takes the one before.
fn nearest(position: usize, from: usize, to: usize) -> usize {
    let factor = from as f32 / to as f32;
    ((position as f32 * factor) as usize).min(from.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_is_the_library_s() {
        assert_eq!((0..6).map(|position| nearest(position, 4, 6)).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3]);
        // Half way in exact arithmetic, a hair before it in float32.
        assert_eq!(nearest(23, 14, 46), 6);
        assert_eq!(nearest_positions(4, [2, 3]), Some(vec![0, 0, 1, 2, 2, 3]));
        assert_eq!(nearest_positions(6, [2, 3]), Some((0..6).collect()));
        assert_eq!(nearest_positions(6, [2, 2]), None);
    }
}
