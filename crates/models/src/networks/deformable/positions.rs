//! What is added to every token ahead of the first block.

use orthoformer::{Result, Tensor};

use super::Architecture;
use crate::checkpoint::Checkpoint;

/// What is added to every token, `[N,C]`: the embedding's bias and the positions of place and time.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub(super) fn table(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    let (grid, c) = (architecture.grid()?, architecture.channels as usize);
    let [frames, places] = [grid.frames, grid.rows * grid.columns].map(|size| size as usize);
    let bias = checkpoint.read_shaped("patch_embed.proj.bias", &[c])?;
    let of_places = checkpoint.read_shaped("pos_embed", &[1, places, c])?;
    let of_times = checkpoint.read_shaped("time_embed", &[1, frames, c])?;
    let mut table = Vec::with_capacity(frames * places * c);
    for time in of_times.chunks(c) {
        for place in of_places.chunks(c) {
            table.extend(place.iter().zip(time).zip(&bias).map(|((a, b), bias)| a + b + bias));
        }
    }
    Tensor::new(vec![frames * places, c], table)
}
