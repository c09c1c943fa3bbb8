//! What networks are given, and what tokens they make.

use orthoformer::shape::fits_u32;
use orthoformer::{Error, Result, Tensor};

/// Channels of a clip: red, green, blue.
pub const CHANNELS: u32 = 3;

/// What a network's input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInput {
    /// The name of the plan's input.
    pub name: &'static str,
    /// Its axes without the batch.
    pub axes: Vec<u32>,
}

/// The tokens that features are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAxes {
    /// Whether a class token comes first.
    pub class_token: bool,
    /// The axes of all others: frames, rows and columns of patches, or the number of latents.
    pub grid: Vec<u32>,
    /// Elements of a token.
    pub channels: u32,
}

impl TokenAxes {
    /// All tokens, the class token among them.
    pub fn count(&self) -> u32 {
        self.grid.iter().product::<u32>() + u32::from(self.class_token)
    }
}

/// The order of axes in which libraries take clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputOrder {
    /// `[B,F,3,H,W]`.
    FramesFirst,
    /// `[B,3,F,H,W]`.
    ChannelsFirst,
    /// `[B,3,H,W]`.
    Picture,
}

impl InputOrder {
    fn axes(self) -> &'static str {
        match self {
            Self::FramesFirst => "[batch, frames, 3, height, width]",
            Self::ChannelsFirst => "[batch, 3, frames, height, width]",
            Self::Picture => "[batch, 3, height, width]",
        }
    }

    /// Frames, height and width of clips in this order.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for other axes, [`Error::SizeOverflow`].
    pub fn clip_of(self, input: &Tensor) -> Result<[u32; 3]> {
        let sizes = match (self, input.shape()) {
            (Self::FramesFirst, &[_, frames, 3, height, width]) | (Self::ChannelsFirst, &[_, 3, frames, height, width]) => {
                [frames, height, width]
            }
            (Self::Picture, &[_, 3, height, width]) => [1, height, width],
            (_, found) => {
                let (found, expected) = (found.to_vec(), self.axes().to_owned());
                return Err(Error::WrongShape { name: "input".to_owned(), found, expected });
            }
        };
        let mut clip = [0; 3];
        for (size, from) in clip.iter_mut().zip(sizes) {
            *size = fits_u32("size of a clip", from as u64)?;
        }
        Ok(clip)
    }

    /// Clips in this order as `[B,3,F,H,W]`.
    ///
    /// # Errors
    /// Those of [`InputOrder::clip_of`].
    pub fn channels_first(self, input: Tensor) -> Result<Tensor> {
        let [frames, height, width] = self.clip_of(&input)?.map(|size| size as usize);
        let batch = input.shape().first().copied().unwrap_or(0);
        let shape = vec![batch, 3, frames, height, width];
        match self {
            Self::ChannelsFirst | Self::Picture => input.reshaped(shape),
            Self::FramesFirst => Tensor::new(shape, channels_first(input.data(), frames, height * width)),
        }
    }
}

/// `[B,F,3,P]` as `[B,3,F,P]`.
fn channels_first(values: &[f32], frames: usize, pixels: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(values.len());
    for clip in values.chunks((frames * 3 * pixels).max(1)) {
        for channel in 0..3 {
            let planes = clip.chunks(pixels.max(1)).skip(channel).step_by(3);
            planes.for_each(|plane| turned.extend_from_slice(plane));
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_first() {
        // Two clips of two frames of three channels of one pixel.
        let values: Vec<f32> = (0u8..12).map(f32::from).collect();
        assert_eq!(channels_first(&values, 2, 1), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]);
    }
}
