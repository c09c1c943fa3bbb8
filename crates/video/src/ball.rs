//! A clip with a known answer: a textured ball moves over a textured background while the camera pans.

use std::f64::consts::TAU;

use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::paint::{Texture, cover, mixed};

/// Width of the rendered frames, pixels.
pub const WIDTH: u32 = 320;
/// Height of the rendered frames, pixels.
pub const HEIGHT: u32 = 240;

/// A rendered clip.
#[derive(Clone, Debug)]
pub struct BallClip {
    /// The frames, [`WIDTH`] x [`HEIGHT`].
    pub frames: Vec<RgbImage>,
    /// Centre of the ball in each frame, pixels.
    pub centres: Vec<(f64, f64)>,
    /// Radius of the ball, pixels.
    pub radius: f64,
}

impl BallClip {
    /// Renders `count` frames. The same seed gives the same bytes everywhere.
    pub fn render(seed: u64, count: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let ground = [random.random_range(0.35..0.5), random.random_range(0.45..0.6), random.random_range(0.25..0.4)];
        let background = Texture::draw(&mut random, ground, 8, 0.25, 0.06);
        let skin = Texture::draw(&mut random, [0.0; 3], 5, 0.3, 0.06);
        let (lit, rim) = ([random.random_range(0.6..0.8), 0.75, 1.0], [0.1, random.random_range(0.0..0.15), 0.45]);
        let radius = random.random_range(24.0..30.0);
        let pan = [random.random_range(-2.0..2.0), random.random_range(-1.0..1.0)];
        let path = Path::draw(&mut random, radius);
        let centres: Vec<_> = (0..count).map(|index| path.at(index as f64 / count.max(2) as f64)).collect();
        let frame = |(index, &(cx, cy)): (usize, &(f64, f64))| {
            let camera = [pan[0] * index as f64, pan[1] * index as f64];
            RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
                let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                let (dx, dy) = (x - cx, y - cy);
                let cover = cover(radius, dx.hypot(dy));
                let behind = background.at(x + camera[0], y + camera[1]);
                let edge = (dx.hypot(dy) / radius).min(1.0).powi(2);
                let texture = skin.at(dx, dy);
                let front = [0, 1, 2].map(|channel| lit[channel] * (1.0 - edge) + rim[channel] * edge + texture[channel]);
                mixed(behind, front, cover)
            })
        };
        Self { frames: centres.iter().enumerate().map(frame).collect(), centres, radius }
    }
}

/// The ball's way through the picture: a slow curve that stays inside.
struct Path {
    centre: [f64; 2],
    reach: [f64; 2],
    turns: [f64; 2],
    phase: [f64; 2],
}

impl Path {
    fn draw(random: &mut ChaCha8Rng, radius: f64) -> Self {
        let half = [f64::from(WIDTH) / 2.0, f64::from(HEIGHT) / 2.0];
        Self {
            centre: half,
            reach: half.map(|half| (half - radius - 4.0) * random.random_range(0.7..1.0)),
            turns: [random.random_range(0.08..0.2), random.random_range(0.08..0.2)],
            phase: [random.random_range(0.0..TAU), random.random_range(0.0..TAU)],
        }
    }

    /// Where the ball is at `time` 0 to 1.
    fn at(&self, time: f64) -> (f64, f64) {
        let along = |axis: usize| self.centre[axis] + self.reach[axis] * (TAU * self.turns[axis] * time + self.phase[axis]).sin();
        (along(0), along(1))
    }
}
