//! Frames in and out.

use image::{Rgb, RgbImage};
use orthoformer::{Error, Result};
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

    pub(crate) fn size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    pub(crate) fn frames(&self) -> &[RgbImage] {
        &self.clip.frames
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

/// Frames from pixels of red, green, blue and alpha.
pub(crate) fn frames(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<RgbImage>> {
    let of_frame =
        (width as usize).checked_mul(height as usize).and_then(|count| count.checked_mul(4)).filter(|&bytes| bytes > 0);
    let of_frame = of_frame.ok_or(Error::ZeroSize { what: "size of a frame" })?;
    let wrong = || Error::WrongShape {
        name: "pixels".to_owned(),
        found: vec![pixels.len()],
        expected: format!("whole frames of {width} x {height} x 4 bytes"),
    };
    let frame = |bytes: &[u8]| {
        let colours = bytes.as_chunks::<4>().0.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect();
        RgbImage::from_raw(width, height, colours).ok_or_else(wrong)
    };
    if !pixels.len().is_multiple_of(of_frame) {
        return Err(wrong());
    }
    pixels.chunks_exact(of_frame).map(frame).collect()
}
