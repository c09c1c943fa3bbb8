//! What rendered clips are painted with: textures and discs.

use std::f64::consts::TAU;

use image::Rgb;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Red, green and blue, from 0 to 1.
pub(super) type Colour = [f64; 3];

/// A smooth random texture: a colour and a few waves.
pub(super) struct Texture {
    base: Colour,
    waves: Vec<Wave>,
}

struct Wave {
    /// Wave numbers, radians a pixel.
    number: [f64; 2],
    phase: f64,
    amplitudes: Colour,
}

impl Wave {
    fn draw(random: &mut ChaCha8Rng, finest: f64, amplitudes: impl FnOnce(&mut ChaCha8Rng) -> Colour) -> Self {
        let number = [random.random_range(-finest..finest), random.random_range(-finest..finest)];
        let amplitudes = amplitudes(random);
        Self { number, phase: random.random_range(0.0..TAU), amplitudes }
    }
}

impl Texture {
    /// `count` waves that all channels share, each with amplitudes of its own up to `amplitude`.
    pub fn draw(random: &mut ChaCha8Rng, base: Colour, count: usize, finest: f64, amplitude: f64) -> Self {
        let mut wave = || Wave::draw(random, finest, |random| [(); 3].map(|()| random.random_range(-amplitude..amplitude)));
        Self { base, waves: (0..count).map(|_| wave()).collect() }
    }

    /// `count` waves for each channel alone.
    pub fn draw_by_channel(random: &mut ChaCha8Rng, base: Colour, count: usize, finest: f64, amplitude: f64) -> Self {
        let mut wave = |channel: usize| {
            Wave::draw(random, finest, |random| {
                let height = random.random_range(0.0..amplitude);
                std::array::from_fn(|other| if other == channel { height } else { 0.0 })
            })
        };
        Self { base, waves: (0..3 * count).map(|index| wave(index / count)).collect() }
    }

    pub fn at(&self, x: f64, y: f64) -> Colour {
        let mut colour = self.base;
        for Wave { number, phase, amplitudes } in &self.waves {
            let height = (number[0] * x + number[1] * y + phase).sin();
            colour.iter_mut().zip(amplitudes).for_each(|(channel, amplitude)| *channel += amplitude * height);
        }
        colour
    }
}

/// How much of a pixel a disc covers whose centre is `distance` away: its edge is one pixel wide.
pub(super) fn cover(radius: f64, distance: f64) -> f64 {
    (radius - distance + 0.5).clamp(0.0, 1.0)
}

/// The pixel where something covers what is behind it.
pub(super) fn mixed(behind: Colour, front: Colour, cover: f64) -> Rgb<u8> {
    let mixed = [0, 1, 2].map(|channel| behind[channel] * (1.0 - cover) + front[channel] * cover);
    Rgb(mixed.map(|channel| (channel.clamp(0.0, 1.0) * 255.0).round() as u8))
}
