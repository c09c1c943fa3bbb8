//! What a patch attends to in a block, or through all up to it ([`Rollout`]): for each frame of patches the weights of its patches, and the frame's share. Networks say
//! how in their modules `attribution`.
//!
//! ```text
//! trajectories:  the softmax over each frame, and that over the frames          joint:    the softmax over all patches
//! divided:       the softmax along time, then that over the patch's own frame   windows:  the softmax over the patch's window
//! latents:       the softmax over all inputs, of the latent that sees the patch most
//! deformable:    the softmax over the samples, spread over the patches round each; the mean of all scales
//! ```
//!
//! Class tokens, padding and what lies outside of the picture are left out: shares add up to one, unless all of it does. Frames whose weights are the same
//! whatever the clip shows are by construction: those outside of a window, and with divided attention all but the patch's own.

mod operands;
mod rollout;

pub(crate) use operands::Operands;
use orthoformer::shape::divided;
use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Tensor, Tensors};
pub use rollout::Rollout;
pub(crate) use rollout::carried;

use crate::model::Model;
use crate::networks::{Network, NetworkOutputs};

/// A patch of a clip, and where in a network its attention is looked into.
#[derive(Debug)]
pub struct Patch {
    /// What the network sees, `[1,3,T,H,W]`.
    pub clip: Tensor,
    /// The block, from 0.
    pub block: u32,
    /// The attention head, from 0; the mean of all if `None`.
    pub head: Option<u32>,
    /// Frames, rows and columns of patches.
    pub grid: [usize; 3],
    /// Frame, row and column of the patch.
    pub at: [usize; 3],
}

/// What a patch attends to in a frame of patches.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameAttention {
    /// Weights of the frame's patches, which add up to one.
    pub weights: Vec<f32>,
    /// The frame's share.
    pub share: f32,
    /// Whether the kind of attention alone decides the weights: 1 for a patch's own position in other frames, 0 outside of its window.
    pub is_by_construction: bool,
}

/// What a patch attends to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// In each frame of patches.
    pub frames: Vec<FrameAttention>,
    /// What people should know about it, in whole sentences.
    pub note: Option<String>,
}

impl From<Vec<FrameAttention>> for Attribution {
    fn from(frames: Vec<FrameAttention>) -> Self {
        Self { frames, note: None }
    }
}

impl Patch {
    /// Patches in a frame.
    pub(crate) fn patches(&self) -> usize {
        self.grid[1] * self.grid[2]
    }

    /// The patch's number in its frame.
    pub(crate) fn in_frame(&self) -> usize {
        self.at[1] * self.grid[2] + self.at[2]
    }

    /// The patch's number in the clip, frame by frame.
    pub(crate) fn number(&self) -> usize {
        self.at[0] * self.patches() + self.in_frame()
    }

    /// What attention compares in the block.
    pub(crate) fn operands(&self, model: &Model<'_>) -> Result<Tensors> {
        model.run(&self.clip, &NetworkOutputs { operands: Some(self.block), ..NetworkOutputs::NOTHING })
    }

    /// The heads that count, of so many.
    pub(crate) fn heads(&self, count: u32) -> std::ops::Range<usize> {
        self.head.map_or(0..count as usize, |head| head as usize..head as usize + 1)
    }
}

/// Side of the square of a frame that a network sees, and side and frames of the patches that a block of it has, pixels.
///
/// # Errors
/// [`Error::Argument`] for frames or patches that are not square, [`Error::DoesNotDivide`] for clips that are not whole patches.
pub(crate) fn sides(network: &dyn Network, block: u32) -> Result<[u32; 3]> {
    let ([frames, height, width], [depth, side, across]) = (network.clip(), network.patch());
    if height != width || side != across {
        let given = format!("frames of {height} x {width}, patches of {side} x {across}");
        return Err(Error::Argument { what: "network", given, expected: "both as high as wide".to_owned() });
    }
    divided("frames", frames, "frames of a patch", depth)?;
    Ok([height, network.patch_side(block)?, depth])
}

/// An output by name.
pub(crate) fn output<'t>(outputs: &'t Tensors, name: &str) -> Result<&'t Tensor> {
    outputs.get(name).ok_or_else(|| missing(name, outputs))
}

/// The share below which a frame is not seen: what a mask leaves of one is of no use.
const NOTHING: f64 = 1e-12;

/// The weights of all patches of a clip, which are brought to one, frame by frame.
pub(crate) fn by_frames(weights: &[f32], patches: usize) -> Vec<FrameAttention> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let of_frame = |frame: &[f32]| {
        let share: f64 = frame.iter().map(|&weight| f64::from(weight)).sum();
        if share <= NOTHING * total {
            return FrameAttention { weights: vec![0.0; frame.len()], share: 0.0, is_by_construction: false };
        }
        let weights = frame.iter().map(|&weight| (f64::from(weight) / share) as f32).collect();
        FrameAttention { weights, share: (share / total) as f32, is_by_construction: false }
    };
    weights.chunks(patches.max(1)).map(of_frame).collect()
}

/// Weights, unless the network made something else of them.
pub(crate) fn finite(weights: Vec<f32>) -> Result<Vec<f32>> {
    match weights.iter().find(|weight| !weight.is_finite()) {
        Some(wrong) => {
            let expected = "finite numbers: damaged weights, or too large for float16".to_owned();
            Err(Error::WrongNumber { name: "attention".to_owned(), found: wrong.to_string(), expected })
        }
        None => Ok(weights),
    }
}

/// Scores become weights that add up to one.
pub(crate) fn softmax(scores: &mut [f64]) {
    let row_max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut row_sum = 0.0;
    for score in &mut *scores {
        *score = (*score - row_max).exp();
        row_sum += *score;
    }
    scores.iter_mut().for_each(|weight| *weight /= row_sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_frames_add_up_to_one() {
        let of = |weights: [f32; 2], share| FrameAttention { weights: weights.to_vec(), share, is_by_construction: false };
        let frames = by_frames(&[0.1, 0.3, 0.0, 1e-40, 0.0, 0.4], 2);
        assert_eq!(frames, [of([0.25, 0.75], 0.5), of([0.0, 0.0], 0.0), of([0.0, 1.0], 0.5)]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert!(matches!(finite(vec![0.5, f32::NAN]), Err(Error::WrongNumber { .. })));
        assert_eq!(finite(vec![0.5, 0.5]).expect("finite"), [0.5, 0.5]);
    }
}
