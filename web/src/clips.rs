//! The rendered clip.

use image::{Rgb, RgbImage};
use orthoformer_video::ball::{BallClip, HEIGHT, WIDTH};
use wasm_bindgen::prelude::wasm_bindgen;

/// A rendered ball.
#[wasm_bindgen]
pub struct BallFrames {
    clip: BallClip,
}

impl BallFrames {
    /// Renders it.
    pub(crate) fn render(seed: u64, count: usize) -> Self {
        Self { clip: BallClip::render(seed, count) }
    }
}

#[wasm_bindgen]
impl BallFrames {
    /// Width of the frames, pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        WIDTH
    }

    /// Height of the frames, pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        HEIGHT
    }

    /// Red, green, blue and alpha of all pixels of all frames.
    pub fn pixels(&self) -> Vec<u8> {
        let pixels = self.clip.frames.iter().flat_map(RgbImage::pixels);
        pixels.flat_map(|&Rgb([red, green, blue])| [red, green, blue, u8::MAX]).collect()
    }

    /// Where the ball's centre is in each frame: column, row, column, row ..., pixels.
    pub fn centres(&self) -> Vec<f64> {
        self.clip.centres.iter().flat_map(|&(x, y)| [x, y]).collect()
    }
}
