//! The colour bar: which weight has which heat.

use image::{Rgb, RgbImage};

use super::draw::{WHITE, darkened, fill, heated};
use super::text::{GLYPH, draw_text, text_width};
use super::track::Track;

/// What heat is laid over in the bar, as it is laid over pictures.
const GREY: Rgb<u8> = Rgb([128; 3]);
/// Heights of the gradient and of its ticks, pixels.
const GRADIENT: i32 = 8;
const TICK: i32 = 3;
/// Height of the bar with its numbers, pixels.
pub(super) const HEIGHT: u32 = GRADIENT as u32 + TICK as u32 + GLYPH;
/// Width that a number and the space around it take, pixels.
const NUMBER: u32 = 8 * GLYPH;
/// Smallest pictures that have room for a bar, pixels.
const SMALLEST: [u32; 2] = [160, 120];
/// Weights below are written with an exponent.
const TINY: f64 = 1e-4;
/// Space round the bar in a picture, pixels.
const MARGIN: i32 = 4;

/// Where a bar is drawn, and how large.
#[derive(Clone, Copy)]
pub(super) struct BarLayout {
    /// Left and top edge, pixels.
    pub corner: [i32; 2],
    /// Width, enlargement left out, pixels.
    pub width: u32,
    /// How many times everything is enlarged.
    pub size: i32,
}

/// Draws a bar from 0 to the strongest weight, with numbers; none if nothing is attended to.
pub(super) fn draw(picture: &mut RgbImage, layout: BarLayout, strongest: f64) {
    let BarLayout { corner: [left, top], width, size } = layout;
    if strongest <= 0.0 || width == 0 {
        return;
    }
    for x in 0..width as i32 {
        let colour = heated(GREY, f64::from(x) / f64::from((width - 1).max(1)));
        fill(picture, [left + x * size, top], [size, GRADIENT * size], colour);
    }
    for Label { at, first, text } in labels(strongest, width as i32) {
        fill(picture, [left + at * size, top + GRADIENT * size], [size, (TICK - 1) * size], WHITE);
        draw_text(picture, [left + first * size, top + (GRADIENT + TICK) * size], &text, size);
    }
}

/// Draws a small bar into the upper corner of a picture that is away from the followed patch, if there is room.
pub(super) fn stamp(picture: &mut RgbImage, track: &Track) {
    let (strongest, sides) = (track.strongest(), [picture.width(), picture.height()]);
    if strongest <= 0.0 || sides.iter().zip(SMALLEST).any(|(&side, smallest)| side < smallest) {
        return;
    }
    let size = (sides[0].min(sides[1]) / 224).max(1) as i32;
    let width = (sides[0] / 3 / size as u32).min(2 * NUMBER);
    let area = [width as i32 + 2 * MARGIN, HEIGHT as i32 + 2 * MARGIN].map(|side| side * size);
    let is_left = 2 * track.query.0 >= track.grid.columns;
    let left = if is_left { 0 } else { sides[0] as i32 - area[0] };
    for (x, y) in (0..area[1]).flat_map(|y| (left..left + area[0]).map(move |x| (x, y))) {
        if let Some(pixel) = picture.get_pixel_mut_checked(x as u32, y as u32) {
            *pixel = darkened(*pixel);
        }
    }
    draw(picture, BarLayout { corner: [left + MARGIN * size, MARGIN * size], width, size }, strongest);
}

/// A number beneath a bar, pixels from its left edge.
struct Label {
    /// Where its weight is.
    at: i32,
    /// Where its text begins.
    first: i32,
    text: String,
}

impl Label {
    /// Where the text ends, with the space that it takes.
    fn end(&self) -> i32 {
        self.first + (text_width(&self.text) + GLYPH) as i32
    }
}

/// The numbers beneath a bar: 0, the strongest weight, and round ones between as far as there is room.
fn labels(strongest: f64, width: i32) -> Vec<Label> {
    let label = |weight: f64, text: String| {
        let at = (weight / strongest * f64::from(width - 1)).round() as i32;
        let own = text_width(&text) as i32;
        Label { at, first: (at - own / 2).clamp(0, (width - own).max(0)), text }
    };
    let last = label(strongest, in_two_digits(strongest));
    let mut labels = vec![label(0.0, "0".to_owned())];
    for (weight, text) in round_numbers(strongest, width as u32 / NUMBER) {
        let next = label(weight, text);
        if labels.last().is_none_or(|label| label.end() <= next.first) && next.end() <= last.first {
            labels.push(next);
        }
    }
    labels.push(last);
    labels
}

/// Round weights between 0 and the strongest, which is divided into at most so many steps.
fn round_numbers(strongest: f64, steps: u32) -> Vec<(f64, String)> {
    if strongest < TINY {
        return Vec::new();
    }
    let least = strongest / f64::from(steps.max(1));
    let unit = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= least).unwrap_or(strongest);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let between = (1..steps).map(|index| f64::from(index) * step).take_while(|weight| *weight < strongest);
    between.map(|weight| (weight, format!("{weight:.decimals$}"))).collect()
}

/// A weight with two significant digits.
fn in_two_digits(weight: f64) -> String {
    if weight < TINY {
        return format!("{weight:.1e}");
    }
    let decimals = (1.0 - weight.log10().floor()).max(0.0) as usize;
    format!("{weight:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::overlay;
    use crate::patches::Grid;
    use crate::track::Sighting;

    /// A track over pictures of one patch, 64 x 64 pixels, with these weights.
    fn track(weights: &[f32]) -> Track {
        let grid = Grid::new(64, 64, 64, 64, 1).expect("small");
        let sightings = weights.iter().map(|&weight| Sighting::new(&grid, &[weight], &[])).collect();
        Track { grid, point: (0.0, 0.0), query: (0, 0), query_step: 99, sightings, device_bytes: 0 }
    }

    #[test]
    fn the_bar_has_the_colours_of_heat() {
        let (strongest, width) = (0.8, 101);
        let mut bar = RgbImage::new(width, HEIGHT);
        draw(&mut bar, BarLayout { corner: [0, 0], width, size: 1 }, strongest);
        let track = track(&[0.8, 0.4, 0.2, 0.0]);
        for (step, x) in [(0, 100), (1, 50), (2, 25), (3, 0)] {
            // Away from the marks, which are round the middle.
            let pixel = *overlay(&RgbImage::from_pixel(64, 64, GREY), &track, step).get_pixel(1, 1);
            assert_eq!(*bar.get_pixel(x, 0), pixel, "frame of patches {step}");
            let apart = |other: u32| *bar.get_pixel(other, 0) != pixel;
            assert!([0, 25, 50, 100].into_iter().filter(|&other| other != x).all(apart), "the colours differ");
        }
        let mut none = RgbImage::new(width, HEIGHT);
        draw(&mut none, BarLayout { corner: [0, 0], width, size: 1 }, 0.0);
        assert_eq!(none, RgbImage::new(width, HEIGHT), "without attention there is no bar");
    }

    #[test]
    fn numbers_are_round_and_do_not_overlap() {
        let cases: [(f64, i32, &[&str]); 7] = [
            (0.42, 480, &["0", "0.1", "0.2", "0.3", "0.42"]),
            (1.0, 480, &["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (1.0, 128, &["0", "0.5", "1.0"]),
            (0.42, 96, &["0", "0.42"]),
            (0.0123, 480, &["0", "0.002", "0.004", "0.006", "0.008", "0.010", "0.012"]),
            (2.0e-5, 480, &["0", "2.0e-5"]),
            (37.0, 480, &["0", "10", "20", "30", "37"]),
        ];
        for (strongest, width, expected) in cases {
            let labels = labels(strongest, width);
            assert_eq!(labels.iter().map(|label| label.text.as_str()).collect::<Vec<_>>(), expected, "{strongest}");
            assert!(labels.is_sorted_by(|one, next| one.end() <= next.first), "{strongest}");
            assert!(labels.iter().all(|label| label.first >= 0 && label.end() - GLYPH as i32 <= width), "{strongest}");
        }
    }

    #[test]
    fn pictures_with_room_have_a_bar_away_from_the_followed_patch() {
        let quarters = |side: u32, query: u32, weight: f32| {
            let track = Track { query: (query, 0), ..track(&[weight]) };
            let mut picture = RgbImage::from_pixel(side, side, GREY);
            stamp(&mut picture, &track);
            let half = side / 2;
            [(0, 0), (half, 0), (0, half), (half, half)].map(|(left, top)| {
                let is_in = |x: u32, y: u32| (left..left + half).contains(&x) && (top..top + half).contains(&y);
                picture.enumerate_pixels().any(|(x, y, pixel)| is_in(x, y) && *pixel != GREY)
            })
        };
        // The grid has one column: patch 0 begins in its left half, patch 1 beyond it.
        assert_eq!(quarters(224, 0, 0.5), [false, true, false, false]);
        assert_eq!(quarters(224, 1, 0.5), [true, false, false, false]);
        assert_eq!(quarters(1080, 1, 0.5), [true, false, false, false]);
        assert_eq!(quarters(112, 0, 0.5), [false; 4], "too small");
        assert_eq!(quarters(224, 0, 0.0), [false; 4], "nothing is attended to");
    }
}
