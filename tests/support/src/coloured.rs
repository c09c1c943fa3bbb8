//! Clips whose classes are colours: what a network was not trained to name.

use std::f64::consts::TAU;

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The colours, and their red, green and blue.
pub const COLOURS: [(&str, [f64; 3]); 4] =
    [("red", [0.9, 0.15, 0.15]), ("green", [0.15, 0.8, 0.2]), ("blue", [0.2, 0.25, 0.95]), ("yellow", [0.9, 0.85, 0.15])];

/// A disc that moves over grey waves, of the colour `seed % 4`: where, how fast, how large and how bright, the seed says.
pub fn coloured_clip(seed: u64, frames: usize, side: u32) -> Vec<RgbImage> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (_, colour) = COLOURS[(seed % COLOURS.len() as u64) as usize];
    let bright = random.random_range(0.7..1.0);
    let side_length = f64::from(side);
    let radius = side_length * random.random_range(0.12..0.2);
    let start = [(); 2].map(|()| side_length * random.random_range(0.3..0.7));
    let speed = [(); 2].map(|()| side_length * random.random_range(-0.02..0.02));
    let grey = random.random_range(0.3..0.7);
    let waves = [(); 2].map(|()| [(); 3].map(|()| random.random_range(0.0..1.0)));
    let pixel = |colour: [f64; 3]| Rgb(colour.map(|channel| (255.0 * channel).round() as u8));
    let background = RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = (f64::from(x) / side_length, f64::from(y) / side_length);
        let wave = |[along, across, phase]: [f64; 3]| 0.1 * (TAU * (5.0 * (along * x + across * y) + phase)).sin();
        pixel([grey + wave(waves[0]) + wave(waves[1]); 3])
    });
    let disc = pixel(colour.map(|channel| bright * channel));
    let frame = |time: usize| {
        let [cx, cy] = [0, 1].map(|axis| start[axis] + speed[axis] * time as f64);
        let mut frame = background.clone();
        let inside = frame.enumerate_pixels_mut().filter(|(x, y, _)| (f64::from(*x) - cx).hypot(f64::from(*y) - cy) < radius);
        inside.for_each(|(_, _, shown)| *shown = disc);
        frame
    };
    (0..frames).map(frame).collect()
}
