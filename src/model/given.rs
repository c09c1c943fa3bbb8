//! Inputs as the libraries' own networks take them.

use super::config::Config;
use crate::error::{Error, Result};
use crate::ops::network::Architecture;
use crate::tensor::Tensor;

/// The order of the axes of a clip.
#[derive(Clone, Copy)]
enum Order {
    /// `[B,F,3,H,W]`.
    FramesFirst,
    /// `[B,3,F,H,W]`.
    ChannelsFirst,
}

impl Order {
    fn axes(self) -> &'static str {
        match self {
            Self::FramesFirst => "[batch, frames, 3, height, width]",
            Self::ChannelsFirst => "[batch, 3, frames, height, width]",
        }
    }
}

impl Config {
    /// Takes an input as the network's own library has it, normalised, for the plan's: `[B,F,3,H,W]` of TimeSformer and ViViT, `[B,3,F,H,W]` of Motionformer.
    /// The network is set to clips of this size.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for other axes; those of [`Architecture::check`] for sizes that the network cannot take.
    pub fn take(&mut self, input: Tensor) -> Result<Tensor> {
        let order = match &self.architecture {
            Architecture::Motionformer(_) => Order::ChannelsFirst,
            Architecture::Vit(_) => Order::FramesFirst,
        };
        let wrong = |found: &[usize]| {
            let (found, expected) = (found.to_vec(), order.axes().to_owned());
            Err(Error::WrongShape { name: "input".to_owned(), found, expected })
        };
        let (batch, sizes) = match (order, input.shape()) {
            (Order::FramesFirst, &[batch, frames, 3, height, width]) => (batch, [frames, height, width]),
            (Order::ChannelsFirst, &[batch, 3, frames, height, width]) => (batch, [frames, height, width]),
            (_, found) => return wrong(found),
        };
        let [frames, height, width] = sizes;
        let mut clip = [0; 3];
        for (size, from) in clip.iter_mut().zip(sizes) {
            *size = crate::shape::fits_u32("size of a clip", from as u64)?;
        }
        self.architecture.set_clip(clip)?;
        match order {
            Order::ChannelsFirst => Ok(input),
            Order::FramesFirst => {
                Tensor::new(vec![batch, 3, frames, height, width], channels_first(input.data(), frames, height * width))
            }
        }
    }
}

/// `[B,F,3,P]` as `[B,3,F,P]`.
fn channels_first(numbers: &[f32], frames: usize, pixels: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(numbers.len());
    for clip in numbers.chunks((frames * 3 * pixels).max(1)) {
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
        let numbers: Vec<f32> = (0u8..12).map(f32::from).collect();
        assert_eq!(channels_first(&numbers, 2, 1), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]);
    }
}
