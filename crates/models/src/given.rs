//! Inputs as the libraries' own networks take them.

use orthoformer::ops::network::Architecture;
use orthoformer::ops::perceiver;
use orthoformer::ops::swin::Dimensions;
use orthoformer::shape::fits_u32;
use orthoformer::{Error, Result, Tensor};

use super::config::Config;
use super::perceiver::not_of_clips;

/// The order of the axes of a clip.
#[derive(Clone, Copy)]
enum Order {
    /// `[B,F,3,H,W]`.
    FramesFirst,
    /// `[B,3,F,H,W]`.
    ChannelsFirst,
    /// `[B,3,H,W]`.
    Picture,
}

impl Order {
    fn axes(self) -> &'static str {
        match self {
            Self::FramesFirst => "[batch, frames, 3, height, width]",
            Self::ChannelsFirst => "[batch, 3, frames, height, width]",
            Self::Picture => "[batch, 3, height, width]",
        }
    }
}

impl Config {
    /// Whether clips can be shown to the network: the inputs of a Perceiver may be made of anything, and frames are shown as squares.
    ///
    /// # Errors
    /// [`Error::Argument`] if not.
    pub fn sees_clips(&self) -> Result<()> {
        if let Architecture::Perceiver(a) = &self.architecture
            && a.pixels().is_none()
        {
            return Err(not_of_clips(a));
        }
        let [_, height, width] = self.architecture.clip();
        if height != width {
            let expected = "as high as wide, as squares of clips are shown; `run` takes any size, in a case".to_owned();
            return Err(Error::Argument { what: "size of frames", given: format!("{height} x {width}"), expected });
        }
        Ok(())
    }

    /// Takes an input as the network's own library has it, normalised, for the plan's: `[B,F,3,H,W]` of TimeSformer and ViViT, `[B,3,F,H,W]` of Motionformer,
    /// Video Swin and Deformable Video Transformer, `[B,3,H,W]` of Swin, `[B,M,C]` of Perceiver. The network is set to inputs of this size.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for other axes; those of [`Architecture::check`] for sizes that the network cannot take.
    pub fn take(&mut self, input: Tensor) -> Result<Tensor> {
        let order = match &mut self.architecture {
            Architecture::Motionformer(_) | Architecture::Deformable(_) => Order::ChannelsFirst,
            Architecture::Vit(_) => Order::FramesFirst,
            Architecture::Swin(a) if a.dimensions == Dimensions::Two => Order::Picture,
            Architecture::Swin(_) => Order::ChannelsFirst,
            Architecture::Perceiver(a) => return take_inputs(a, input),
        };
        let (batch, sizes) = match (order, input.shape()) {
            (Order::FramesFirst, &[batch, frames, 3, height, width]) => (batch, [frames, height, width]),
            (Order::ChannelsFirst, &[batch, 3, frames, height, width]) => (batch, [frames, height, width]),
            (Order::Picture, &[batch, 3, height, width]) => (batch, [1, height, width]),
            (_, found) => {
                let (found, expected) = (found.to_vec(), order.axes().to_owned());
                return Err(Error::WrongShape { name: "input".to_owned(), found, expected });
            }
        };
        let [frames, height, width] = sizes;
        let mut clip = [0; 3];
        for (size, from) in clip.iter_mut().zip(sizes) {
            *size = fits_u32("size of a clip", from as u64)?;
        }
        self.architecture.set_clip(clip)?;
        let numbers = match order {
            Order::ChannelsFirst | Order::Picture => input.into_data(),
            Order::FramesFirst => channels_first(input.data(), frames, height * width),
        };
        Tensor::new(vec![batch, 3, frames, height, width], numbers)
    }
}

/// `[B,M,C]` of a Perceiver.
fn take_inputs(architecture: &mut perceiver::Architecture, input: Tensor) -> Result<Tensor> {
    let channels = architecture.input_channels;
    match *input.shape() {
        [_, inputs, width] if width == channels as usize => architecture.inputs = fits_u32("inputs", inputs as u64)?,
        ref found => {
            let (found, expected) = (found.to_vec(), format!("[batch, inputs, {channels}]"));
            return Err(Error::WrongShape { name: "input".to_owned(), found, expected });
        }
    }
    architecture.check(1)?;
    Ok(input)
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
