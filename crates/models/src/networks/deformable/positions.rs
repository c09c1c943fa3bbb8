//! What is added to every token ahead of the first block.

use orthoformer::{Result, Tensor};

use super::Architecture;
use crate::checkpoint::Checkpoint;

/// What is added to every token, `[N,C]`: the embedding's bias and the positions in space and time.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub(super) fn table(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Tensor> {
    let (grid, c) = (architecture.grid()?, architecture.channels as usize);
    let [frames, positions] = [grid.frames, grid.rows * grid.columns].map(|size| size as usize);
    let bias = checkpoint.read_shaped("patch_embed.proj.bias", &[c])?;
    let in_space = checkpoint.read_shaped("pos_embed", &[1, positions, c])?;
    let in_time = checkpoint.read_shaped("time_embed", &[1, frames, c])?;
    let mut table = Vec::with_capacity(frames * positions * c);
    for time in in_time.chunks(c) {
        for position in in_space.chunks(c) {
            table.extend(position.iter().zip(time).zip(&bias).map(|((a, b), bias)| a + b + bias));
        }
    }
    Tensor::new(vec![frames * positions, c], table)
}
