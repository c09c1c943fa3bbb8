//! Clips of the motions that the shipped network was trained to name: a plain disc moves over waves, seen by a camera that pans.
//!
//! The camera moves the background alone, so that what moves against it says nothing about the class: only the disc's way over the picture does.

use std::f64::consts::TAU;

use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::paint::{Colour, Texture, cover, mixed};

/// Width and height of a frame, pixels.
pub const SIDE: u32 = 112;
/// Frames of a clip.
pub const FRAMES: usize = 16;

/// What the disc does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Moves to the left.
    Left,
    /// Moves to the right.
    Right,
    /// Moves up.
    Up,
    /// Moves down.
    Down,
    /// Goes around a point, clockwise as it is seen.
    Clockwise,
    /// Goes around a point the other way.
    Counterclockwise,
    /// Grows.
    Toward,
    /// Shrinks.
    Away,
}

impl Motion {
    /// All motions, in the order of the network's classes.
    pub const ALL: [Self; 8] =
        [Self::Left, Self::Right, Self::Up, Self::Down, Self::Clockwise, Self::Counterclockwise, Self::Toward, Self::Away];
}

/// A rendered clip.
#[derive(Clone, Debug)]
pub struct MotionClip {
    /// [`FRAMES`] frames, [`SIDE`] x [`SIDE`].
    pub frames: Vec<RgbImage>,
    /// The class of the motion: its place in [`Motion::ALL`].
    pub class: usize,
}

impl MotionClip {
    /// Renders a clip of the class `seed % 8`, so that consecutive seeds have all classes equally often. The same seed gives the same clip.
    pub fn render(seed: u64) -> Self {
        let class = (seed % Motion::ALL.len() as u64) as usize;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let base = [(); 3].map(|()| random.random_range(0.25..0.75));
        let background = Texture::draw_by_channel(&mut random, base, 4, 0.25, 0.12);
        let pan = [(); 2].map(|()| random.random_range(-2.0..2.0));
        let darkest = if random.random_bool(0.5) { 0.0 } else { 0.7 };
        let colour: Colour = [(); 3].map(|()| darkest + random.random_range(0.0..0.3));
        let disc = MovingDisc::draw(&mut random, Motion::ALL[class]);
        let frame = |time: usize| {
            let time = time as f64;
            let Disc { centre, radius } = disc.at(time);
            RgbImage::from_fn(SIDE, SIDE, |x, y| {
                let (x, y) = (f64::from(x), f64::from(y));
                let behind = background.at(x + pan[0] * time, y + pan[1] * time);
                mixed(behind, colour, cover(radius, (x - centre[0]).hypot(y - centre[1])))
            })
        };
        Self { frames: (0..FRAMES).map(frame).collect(), class }
    }
}

/// Where the disc is in a frame.
struct Disc {
    centre: [f64; 2],
    radius: f64,
}

/// A disc and its way through the clip.
enum MovingDisc {
    /// Along a line: its place in the middle of the clip, and pixels a frame.
    Straight { middle: [f64; 2], speed: [f64; 2], radius: f64 },
    /// Around a point at some distance: the first angle, and radians a frame.
    Around { point: [f64; 2], distance: f64, phase: f64, speed: f64, radius: f64 },
    /// Standing still, with a first and a last radius.
    Growing { centre: [f64; 2], radii: [f64; 2] },
}

impl MovingDisc {
    fn draw(random: &mut ChaCha8Rng, motion: Motion) -> Self {
        let place = [(); 2].map(|()| random.random_range(30.0..82.0));
        let radius = random.random_range(9.0..16.0);
        let straight = |random: &mut ChaCha8Rng, direction: [f64; 2]| {
            let pixels = random.random_range(1.6..3.2);
            Self::Straight { middle: place, speed: direction.map(|along| along * pixels), radius }
        };
        // Rows are counted from the top, so that growing angles go clockwise.
        let around = |random: &mut ChaCha8Rng, turn: f64| Self::Around {
            point: place,
            distance: random.random_range(14.0..22.0),
            phase: random.random_range(0.0..TAU),
            speed: turn * random.random_range(0.25..0.4),
            radius,
        };
        let small_and_large = |random: &mut ChaCha8Rng| [5.0, random.random_range(20.0..30.0)];
        match motion {
            Motion::Left => straight(random, [-1.0, 0.0]),
            Motion::Right => straight(random, [1.0, 0.0]),
            Motion::Up => straight(random, [0.0, -1.0]),
            Motion::Down => straight(random, [0.0, 1.0]),
            Motion::Clockwise => around(random, 1.0),
            Motion::Counterclockwise => around(random, -1.0),
            Motion::Toward => Self::Growing { centre: place, radii: small_and_large(random) },
            Motion::Away => {
                let [small, large] = small_and_large(random);
                Self::Growing { centre: place, radii: [large, small] }
            }
        }
    }

    /// The disc in the frame `time`, from 0.
    fn at(&self, time: f64) -> Disc {
        let last = (FRAMES - 1) as f64;
        match *self {
            Self::Straight { middle, speed, radius } => {
                let along = |axis: usize| middle[axis] + speed[axis] * (time - last / 2.0);
                Disc { centre: [along(0), along(1)], radius }
            }
            Self::Around { point: [x, y], distance, phase, speed, radius } => {
                let (sine, cosine) = (phase + speed * time).sin_cos();
                Disc { centre: [x + distance * cosine, y + distance * sine], radius }
            }
            Self::Growing { centre, radii: [first, last_radius] } => {
                Disc { centre, radius: first + (last_radius - first) * time / last }
            }
        }
    }
}
