//! What is added to every token ahead of the first block: positions, the class token, and the embedding's bias.
//!
//! ```text
//! row 0           = class token + own position
//! row 1 + f*S + s = embedding bias + position[s] + time[f]     (positions *separate*)
//!                 = embedding bias + st[1 + f*S + s]        (positions *joint*)
//! ```
//!
//! Positions were trained on a square grid, 14 x 14 in the published networks, and are resized by bicubic interpolation to the grid of the clips.

use orthoformer::{Error, Result, Tensor};

use super::Architecture;
use crate::checkpoint::Checkpoint;
use crate::networks::square_root;

/// Free parameter of the cubic convolution, as PyTorch has it.
const CUBIC: f64 = -0.75;

/// The table `[1+N, C]` for a checkpoint's tensors `cls_token`, `pos_embed`, `temp_embed` or `st_embed`, and the bias of its embedding.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub fn table(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    let shape = architecture.shape(1)?;
    let (channels, frames, patches) = (shape.channels() as usize, shape.frames() as usize, shape.patches() as usize);
    let class = checkpoint.read_shaped("cls_token", &[1, 1, channels])?;
    let bias = checkpoint.read_shaped(&format!("{}.bias", architecture.embedding()), &[channels])?;
    let rows = match checkpoint.info("st_embed") {
        Some(_) => wide(&checkpoint.read_shaped("st_embed", &[1, 1 + frames * patches, channels])?),
        None => separate(checkpoint, [frames, patches, channels])?,
    };
    let mut rows = rows.chunks(channels);
    let mut table = Vec::with_capacity((1 + frames * patches) * channels);
    let mut add = |row: &[f64], to: &[f32]| table.extend(row.iter().zip(to).map(|(a, &b)| (a + f64::from(b)) as f32));
    if let Some(own) = rows.next() {
        add(own, &class);
    }
    rows.for_each(|row| add(row, &bias));
    Tensor::new(vec![1 + frames * patches, channels], table)
}

/// The class token's position, then those of all patches of all frames.
fn separate(checkpoint: &Checkpoint, [frames, patches, channels]: [usize; 3]) -> Result<Vec<f64>> {
    let name = "pos_embed";
    let found = checkpoint.info(name).map(|info| info.shape.clone()).unwrap_or_default();
    let trained = match found.as_slice() {
        // Missing is said by reading.
        [] => 1,
        &[1, rows, width] if rows > 1 && width == channels => rows - 1,
        _ => {
            let expected = format!("[1, 1 + patches of a frame, {channels}]");
            return Err(Error::WrongShape { name: name.to_owned(), found, expected });
        }
    };
    let positions = checkpoint.read_shaped(name, &[1, 1 + trained, channels])?;
    let times = checkpoint.read_shaped("temp_embed", &[1, frames, channels])?;
    let (own, grid) = positions.split_at(channels);
    let resized = match (trained == patches, square_root(trained), square_root(patches)) {
        (true, ..) => wide(grid),
        (false, Some(from), Some(to)) => resize(grid, from as usize, to as usize, channels),
        _ => {
            let expected = "positions of a square grid, to be resized to another".to_owned();
            return Err(Error::WrongShape { name: name.to_owned(), found, expected });
        }
    };
    let mut rows = wide(own);
    for time in times.chunks(channels) {
        for position in resized.chunks(channels) {
            rows.extend(position.iter().zip(time).map(|(position, &time)| position + f64::from(time)));
        }
    }
    Ok(rows)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Resizes a grid `[from, from, channels]` to `[to, to, channels]` by cubic convolution with half-pixel centres; beyond the edge the last row
/// counts again. The factor is `to / from` in both directions (PyTorch's `interpolate(mode="bicubic", scale_factor)`).
pub fn resize(grid: &[f32], from: usize, to: usize, channels: usize) -> Vec<f64> {
    let taps: Vec<[(usize, f64); 4]> = (0..to).map(|position| taps(position, from, to)).collect();
    let mut resized = vec![0.0; to * to * channels];
    for (position, out) in resized.chunks_mut(channels.max(1)).enumerate() {
        for (row, by_row) in taps[position / to] {
            for (column, by_column) in taps[position % to] {
                let source = &grid[(row * from + column) * channels..][..channels];
                out.iter_mut().zip(source).for_each(|(sum, &value)| *sum += by_row * by_column * f64::from(value));
            }
        }
    }
    resized
}

/// The four positions that one is made of, and their shares.
fn taps(position: usize, from: usize, to: usize) -> [(usize, f64); 4] {
    let at = (position as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let first = at.floor();
    let past = at - first;
    let near = |x: f64| ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((CUBIC * x - 5.0 * CUBIC) * x + 8.0 * CUBIC) * x - 4.0 * CUBIC;
    let shares = [far(past + 1.0), near(past), near(1.0 - past), far(2.0 - past)];
    let last = from as f64 - 1.0;
    [0, 1, 2, 3].map(|tap| ((first + tap as f64 - 1.0).clamp(0.0, last) as usize, shares[tap]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_reproduce_what_is_even() {
        for (from, to) in [(14, 7), (14, 21), (14, 10), (3, 8), (1, 4), (5, 5)] {
            for position in 0..to {
                let sum: f64 = taps(position, from, to).iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{from} to {to}, position {position}: {sum}");
            }
            let even = vec![0.75f32; from * from * 2];
            assert!(resize(&even, from, to, 2).iter().all(|value| (value - 0.75).abs() < 1e-12));
        }
        let grid: Vec<f32> = (0..9).map(|value| value as f32).collect();
        assert_eq!(resize(&grid, 3, 3, 1), wide(&grid));
    }

    #[test]
    fn halving_takes_the_published_shares() {
        // Half way between two positions: -3/32, 19/32 with a = -0.75.
        let shares = taps(1, 14, 7).map(|(position, share)| (position, share));
        assert_eq!(shares.map(|(position, _)| position), [1, 2, 3, 4]);
        for (share, expected) in shares.map(|(_, share)| share).into_iter().zip([-0.09375, 0.59375, 0.59375, -0.09375]) {
            assert!((share - expected).abs() < 1e-12);
        }
    }
}
