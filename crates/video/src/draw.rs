//! Attention drawn over a frame.

use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::patches::Grid;
use super::track::{Sighting, Track};

pub(super) const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const BLACK: Rgb<u8> = Rgb([0, 0, 0]);
/// How much of the picture the strongest attention covers.
const STRONGEST: f64 = 0.75;
/// The bar of temporal weights: unlike heat, and unlike the marks.
const BAR: Rgb<u8> = Rgb([64, 224, 255]);

/// The scaled frame with the attention of its sighting as a heat map over it, a ring round the centroid, a cross on the patch with
/// the largest weight, and, in the frames that the query was taken from, a box round the followed patch; along the bottom, where there is one, the
/// temporal weight as a bar that fills the width at 1. A step without a sighting leaves the frame as it is.
pub fn overlay(frame: &RgbImage, track: &Track, step: usize) -> RgbImage {
    let mut picture = frame.clone();
    let Some(sighting) = track.sightings.get(step) else { return picture };
    let grid = &track.grid;
    let heat = Heat::new(grid, sighting);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (colour, cover) = heat.at(x, y);
        pixel.0.iter_mut().zip(colour).for_each(|(value, heat)| {
            *value = (f64::from(*value) * (1.0 - cover) + f64::from(heat) * cover).round() as u8;
        });
    }
    if step == track.query_step {
        let corner = |first: i32, index: u32| first + (index * grid.side) as i32;
        let (left, top) = (corner(grid.left, track.query.0), corner(grid.top, track.query.1));
        draw_box(&mut picture, left - 1, top - 1, grid.side as i32 + 2, BLACK);
        draw_box(&mut picture, left, top, grid.side as i32, WHITE);
    }
    if !sighting.is_blank() {
        let peak = grid.centre(sighting.peak.0.into(), sighting.peak.1.into());
        let peak = grid.to_picture(peak.0, peak.1);
        draw_cross(&mut picture, peak.0.round() as i32, peak.1.round() as i32);
        let (x, y) = grid.to_picture(sighting.centroid.0, sighting.centroid.1);
        draw_ring(&mut picture, x, y, f64::from(grid.side) / 2.0);
    }
    if let Some(weight) = sighting.temporal_weight {
        draw_bar(&mut picture, bar_height(track), weight);
    }
    picture
}

/// The heat map of [`overlay`] alone, to be laid over a picture of any size: as large as the grid's pictures, with the cover as alpha.
pub fn heat_layer(grid: &Grid, sighting: &Sighting) -> RgbaImage {
    let heat = Heat::new(grid, sighting);
    RgbaImage::from_fn(grid.width, grid.height, |x, y| {
        let ([red, green, blue], cover) = heat.at(x, y);
        Rgba([red, green, blue, (255.0 * cover).round() as u8])
    })
}

/// The weights of a sighting as colours.
struct Heat<'s> {
    grid: &'s Grid,
    sighting: &'s Sighting,
    strongest: f64,
}

impl<'s> Heat<'s> {
    fn new(grid: &'s Grid, sighting: &'s Sighting) -> Self {
        let strongest = f64::from(sighting.weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max));
        Self { grid, sighting, strongest }
    }

    /// The colour at a pixel, and how much of what is below it covers.
    fn at(&self, x: u32, y: u32) -> ([u8; 3], f64) {
        let heat = (weight_at(self.grid, self.sighting, x, y) / self.strongest).clamp(0.0, 1.0);
        let colour = colorous::INFERNO.eval_continuous(0.25 + 0.75 * heat).as_array();
        (colour, STRONGEST * heat.powf(0.7))
    }
}

/// Height of the bar of temporal weights, pixels: none where there are no such weights.
pub(super) fn bar_height(track: &Track) -> u32 {
    let is_weighted = track.sightings.iter().any(|sighting| sighting.temporal_weight.is_some());
    if is_weighted { (track.grid.height / 32).max(4) } else { 0 }
}

/// A bar along the bottom, on a darkened strip with a black edge.
fn draw_bar(picture: &mut RgbImage, height: u32, weight: f64) {
    let filled = (weight.clamp(0.0, 1.0) * f64::from(picture.width())).round() as u32;
    let top = picture.height().saturating_sub(height);
    for (x, y, pixel) in picture.enumerate_pixels_mut().filter(|(_, y, _)| *y >= top) {
        *pixel = match (y == top, x < filled) {
            (true, _) => BLACK,
            (false, true) => BAR,
            (false, false) => Rgb(pixel.0.map(|value| value / 4)),
        };
    }
}

/// The weight under a pixel, interpolated between the centres of patches.
fn weight_at(grid: &Grid, sighting: &Sighting, x: u32, y: u32) -> f64 {
    let along = |at: u32, first: i32, count: u32| {
        let place = (f64::from(at) + 0.5 - f64::from(first)) / f64::from(grid.side) - 0.5;
        let place = place.clamp(0.0, f64::from(count - 1));
        let low = (place as u32).min(count.saturating_sub(2));
        (low, (low + 1).min(count - 1), place - f64::from(low))
    };
    let ((left, right, dx), (top, bottom, dy)) = (along(x, grid.left, grid.columns), along(y, grid.top, grid.rows));
    let weight = |column: u32, row: u32| f64::from(sighting.weights[(row * grid.columns + column) as usize]);
    let upper = weight(left, top) * (1.0 - dx) + weight(right, top) * dx;
    let lower = weight(left, bottom) * (1.0 - dx) + weight(right, bottom) * dx;
    upper * (1.0 - dy) + lower * dy
}

/// The trajectory token of a sighting as a picture `side x side`: the first of its frames.
pub fn token(grid: &Grid, sighting: &Sighting) -> RgbImage {
    let pixels = sighting.token.chunks(3).take((grid.side * grid.side) as usize);
    let bytes = pixels.flatten().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    RgbImage::from_raw(grid.side, grid.side, bytes).unwrap_or_default()
}

pub(super) fn put(picture: &mut RgbImage, x: i32, y: i32, colour: Rgb<u8>) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && x < picture.width()
        && y < picture.height()
    {
        picture.put_pixel(x, y, colour);
    }
}

/// The outline of a square.
pub(super) fn draw_box(picture: &mut RgbImage, left: i32, top: i32, side: i32, colour: Rgb<u8>) {
    for along in 0..side {
        for (x, y) in [(along, 0), (along, side - 1), (0, along), (side - 1, along)] {
            put(picture, left + x, top + y, colour);
        }
    }
}

/// A white cross with black edges.
fn draw_cross(picture: &mut RgbImage, x: i32, y: i32) {
    for (reach, thickness, colour) in [(4, 1, BLACK), (3, 0, WHITE)] {
        for (along, across) in (-reach..=reach).flat_map(|along| (-thickness..=thickness).map(move |across| (along, across))) {
            put(picture, x + along, y + across, colour);
            put(picture, x + across, y + along, colour);
        }
    }
}

/// A white ring with black edges: visible on anything.
fn draw_ring(picture: &mut RgbImage, centre_x: f64, centre_y: f64, radius: f64) {
    let reach = radius.ceil() as i32 + 2;
    let (column, row) = (centre_x.round() as i32, centre_y.round() as i32);
    for (y, x) in (row - reach..=row + reach).flat_map(|y| (column - reach..=column + reach).map(move |x| (y, x))) {
        let off = ((f64::from(x) + 0.5 - centre_x).hypot(f64::from(y) + 0.5 - centre_y) - radius).abs();
        match off {
            off if off < 0.9 => put(picture, x, y, WHITE),
            off if off < 1.7 => put(picture, x, y, BLACK),
            _ => {}
        }
    }
}
