//! Attention drawn over a frame.
//!
//! Heat has one scale for a whole clip: [`Track::strongest`]. A weight is laid over a picture in the same way everywhere, the colour bar included: [`heated`].

use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::patches::Grid;
use super::track::{Sighting, Track};
use super::views::CropGeometry;

pub(super) const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const BLACK: Rgb<u8> = Rgb([0, 0, 0]);
/// How much of the picture the strongest attention covers.
const STRONGEST: f64 = 0.75;
/// Squares of a stroke in an arm of the cross, its edge included.
const LONGEST_ARM: i32 = 4;
/// The bar of temporal weights: unlike heat, and unlike the marks.
const BAR: Rgb<u8> = Rgb([64, 224, 255]);

/// The scaled frame with the attention of its sighting as a heat map over it, a ring round the centroid, a cross on the patch with
/// the largest weight, and, in the frames that the query was taken from, a box round the followed patch; along the bottom, where there is one, the
/// temporal weight as a bar that fills the width at 1. Of a sighting that is not [drawn](Sighting::is_drawn) there is neither heat nor marks; a step
/// without a sighting leaves the frame as it is.
pub fn overlay(frame: &RgbImage, track: &Track, step: usize) -> RgbImage {
    Canvas::of_pictures().overlay(frame, track, step)
}

/// The same over a frame as the clip has it, `source_width x source_height`: marks are as large in proportion. Where the grid's pictures are squares,
/// there is no heat beside them.
pub fn source_overlay(frame: &RgbImage, track: &Track, step: usize) -> RgbImage {
    Canvas::of_source(&track.grid).overlay(frame, track, step)
}

/// The heat map of [`overlay`] alone, to be laid over a picture of any size: as large as the grid's pictures, with the cover as alpha. `None` for a
/// step without a sighting.
pub fn heat_layer(track: &Track, step: usize) -> Option<RgbaImage> {
    let heat = Heat::new(track, track.sightings.get(step)?);
    let (canvas, grid) = (Canvas::of_pictures(), &track.grid);
    Some(RgbaImage::from_fn(grid.width, grid.height, |x, y| {
        let ([red, green, blue], cover) = heat_colour(heat.at(canvas.in_picture(x, y)));
        Rgba([red, green, blue, (255.0 * cover).round() as u8])
    }))
}

/// A pixel with heat from 0 (none) to 1 (that of the clip's largest weight) laid over it.
pub fn heated(pixel: Rgb<u8>, heat: f64) -> Rgb<u8> {
    let (colour, cover) = heat_colour(heat);
    let mut mixed = pixel;
    mixed.0.iter_mut().zip(colour).for_each(|(value, heat)| {
        *value = (f64::from(*value) * (1.0 - cover) + f64::from(heat) * cover).round() as u8;
    });
    mixed
}

/// The colour of heat from 0 to 1, and how much of what is below it it covers, 0 to 1.
pub fn heat_colour(heat: f64) -> ([u8; 3], f64) {
    let heat = heat.clamp(0.0, 1.0);
    (colorous::INFERNO.eval_continuous(0.25 + 0.75 * heat).as_array(), STRONGEST * heat.powf(0.7))
}

/// What is drawn on: how the grid's pictures lie in it.
struct Canvas {
    /// Width and height of a pixel of the grid's pictures, pixels of the canvas.
    scale: [f64; 2],
    /// Left and top edge of the grid's pictures, pixels of the canvas.
    first: [f64; 2],
}

impl Canvas {
    /// The grid's pictures themselves.
    fn of_pictures() -> Self {
        Self { scale: [1.0; 2], first: [0.0; 2] }
    }

    /// The clip's frames.
    fn of_source(grid: &Grid) -> Self {
        let CropGeometry { scaled_width, scaled_height, left, top } = grid.place;
        let scale = [(grid.source_width, scaled_width), (grid.source_height, scaled_height)]
            .map(|(source, scaled)| f64::from(source) / f64::from(scaled));
        Self { scale, first: [f64::from(left) * scale[0], f64::from(top) * scale[1]] }
    }

    /// Where the middle of a pixel lies in the grid's pictures.
    fn in_picture(&self, x: u32, y: u32) -> (f64, f64) {
        let along = |axis: usize, at: u32| (f64::from(at) + 0.5 - self.first[axis]) / self.scale[axis];
        (along(0, x), along(1, y))
    }

    /// Where a point of the grid's pictures lies.
    fn position(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x * self.scale[0] + self.first[0], y * self.scale[1] + self.first[1])
    }

    /// How much larger lengths are than in the grid's pictures.
    fn mean_scale(&self) -> f64 {
        (self.scale[0] * self.scale[1]).sqrt()
    }

    /// Thickness of lines, pixels.
    fn stroke(&self) -> i32 {
        (self.mean_scale().round() as i32).max(1)
    }

    fn overlay(&self, frame: &RgbImage, track: &Track, step: usize) -> RgbImage {
        let mut picture = frame.clone();
        let Some(sighting) = track.sightings.get(step) else { return picture };
        if sighting.is_drawn() {
            let heat = Heat::new(track, sighting);
            picture.enumerate_pixels_mut().for_each(|(x, y, pixel)| *pixel = heated(*pixel, heat.at(self.in_picture(x, y))));
        }
        if step == track.query_step {
            self.draw_query(&mut picture, track);
        }
        if sighting.is_drawn() {
            self.draw_marks(&mut picture, &track.grid, sighting);
        }
        if let Some(weight) = sighting.temporal_weight {
            let height = bar_height(track, picture.height());
            draw_bar(&mut picture, height, weight);
        }
        picture
    }

    /// A white box round the followed patch, with a black one round it.
    fn draw_query(&self, picture: &mut RgbImage, track: &Track) {
        let Track { grid, query, .. } = track;
        let corner = |column: u32, row: u32| {
            let along = |first: i32, index: u32| f64::from(first) + f64::from(index) * f64::from(grid.side);
            let (x, y) = self.position((along(grid.left, column), along(grid.top, row)));
            [x.round() as i32, y.round() as i32]
        };
        let ([left, top], [right, bottom]) = (corner(query.0, query.1), corner(query.0 + 1, query.1 + 1));
        for line in -self.stroke()..self.stroke() {
            let (corner, size) = ([left + line, top + line], [right - left - 2 * line, bottom - top - 2 * line]);
            draw_box(picture, corner, size, if line < 0 { BLACK } else { WHITE });
        }
    }

    /// The cross on the peak, and the ring round the centroid.
    fn draw_marks(&self, picture: &mut RgbImage, grid: &Grid, sighting: &Sighting) {
        let peak = grid.centre(sighting.peak.0.into(), sighting.peak.1.into());
        let [peak, centroid] = [peak, sighting.centroid].map(|(x, y)| self.position(grid.to_picture(x, y)));
        let radius = f64::from(grid.side) / 2.0 * self.mean_scale();
        // Where patches are a few pixels, as in small clips, the marks must not hide the heat around them.
        let arms = ((radius / f64::from(self.stroke())) as i32).clamp(1, LONGEST_ARM);
        draw_cross(picture, [peak.0.round() as i32, peak.1.round() as i32], (arms, self.stroke()));
        draw_ring(picture, centroid, radius, self.stroke().into());
    }
}

/// The weights of a sighting as heat.
struct Heat<'t> {
    grid: &'t Grid,
    sighting: &'t Sighting,
    /// What is as hot as can be: 0 if nothing is.
    strongest: f64,
}

impl<'t> Heat<'t> {
    fn new(track: &'t Track, sighting: &'t Sighting) -> Self {
        let strongest = if sighting.is_drawn() { track.strongest() } else { 0.0 };
        Self { grid: &track.grid, sighting, strongest }
    }

    /// Heat at a point of the grid's pictures, from 0 to 1: none outside of them.
    fn at(&self, (x, y): (f64, f64)) -> f64 {
        let is_inside = (0.0..f64::from(self.grid.width)).contains(&x) && (0.0..f64::from(self.grid.height)).contains(&y);
        if !is_inside || self.strongest <= 0.0 {
            return 0.0;
        }
        (self.weight_at(x, y) / self.strongest).clamp(0.0, 1.0)
    }

    /// The weight at a point, interpolated between the centres of patches.
    fn weight_at(&self, x: f64, y: f64) -> f64 {
        let grid = self.grid;
        let along = |at: f64, first: i32, count: u32| {
            let position = (at - f64::from(first)) / f64::from(grid.side) - 0.5;
            let position = position.clamp(0.0, f64::from(count.saturating_sub(1)));
            let low = (position as u32).min(count.saturating_sub(2));
            (low, (low + 1).min(count.saturating_sub(1)), position - f64::from(low))
        };
        let ((left, right, dx), (top, bottom, dy)) = (along(x, grid.left, grid.columns), along(y, grid.top, grid.rows));
        let weight = |column: u32, row: u32| {
            f64::from(self.sighting.weights.get((row * grid.columns + column) as usize).copied().unwrap_or(0.0))
        };
        let upper = weight(left, top) * (1.0 - dx) + weight(right, top) * dx;
        let lower = weight(left, bottom) * (1.0 - dx) + weight(right, bottom) * dx;
        upper * (1.0 - dy) + lower * dy
    }
}

/// Height of the bar of temporal weights in a picture, pixels: none where there are no such weights.
pub(super) fn bar_height(track: &Track, picture_height: u32) -> u32 {
    let is_weighted = track.sightings.iter().any(|sighting| sighting.temporal_weight.is_some());
    if is_weighted { (picture_height / 32).max(4) } else { 0 }
}

/// A bar along the bottom, on a darkened strip with a black edge.
fn draw_bar(picture: &mut RgbImage, height: u32, weight: f64) {
    let filled = (weight.clamp(0.0, 1.0) * f64::from(picture.width())).round() as u32;
    let top = picture.height().saturating_sub(height);
    for (x, y, pixel) in picture.enumerate_pixels_mut().filter(|(_, y, _)| *y >= top) {
        *pixel = match (y == top, x < filled) {
            (true, _) => BLACK,
            (false, true) => BAR,
            (false, false) => darkened(*pixel),
        };
    }
}

/// A pixel that something bright is to stand out from.
pub(super) fn darkened(pixel: Rgb<u8>) -> Rgb<u8> {
    Rgb(pixel.0.map(|value| value / 4))
}

/// The trajectory token of a sighting as a picture `side x side`: the first of its frames.
pub fn token(grid: &Grid, sighting: &Sighting) -> RgbImage {
    let pixels = sighting.token.chunks(3).take((grid.side * grid.side) as usize);
    let bytes = pixels.flatten().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    RgbImage::from_raw(grid.side, grid.side, bytes).unwrap_or_default()
}

fn put(picture: &mut RgbImage, x: i32, y: i32, colour: Rgb<u8>) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && x < picture.width()
        && y < picture.height()
    {
        picture.put_pixel(x, y, colour);
    }
}

/// A filled rectangle.
pub(super) fn fill(picture: &mut RgbImage, [left, top]: [i32; 2], [width, height]: [i32; 2], colour: Rgb<u8>) {
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        put(picture, left + x, top + y, colour);
    }
}

/// The outline of a rectangle.
pub(super) fn draw_box(picture: &mut RgbImage, [left, top]: [i32; 2], [width, height]: [i32; 2], colour: Rgb<u8>) {
    for (x, y) in (0..width).flat_map(|x| [(x, 0), (x, height - 1)]) {
        put(picture, left + x, top + y, colour);
    }
    for (x, y) in (0..height).flat_map(|y| [(0, y), (width - 1, y)]) {
        put(picture, left + x, top + y, colour);
    }
}

/// A white cross with black edges, made of squares as wide as a stroke: so many an arm.
fn draw_cross(picture: &mut RgbImage, [x, y]: [i32; 2], (arms, stroke): (i32, i32)) {
    let mut put_square = |column: i32, row: i32, colour: Rgb<u8>| {
        fill(picture, [x + column * stroke - stroke / 2, y + row * stroke - stroke / 2], [stroke; 2], colour);
    };
    for (reach, thickness, colour) in [(arms, 1, BLACK), (arms - 1, 0, WHITE)] {
        for (along, across) in (-reach..=reach).flat_map(|along| (-thickness..=thickness).map(move |across| (along, across))) {
            put_square(along, across, colour);
            put_square(across, along, colour);
        }
    }
}

/// A white ring with black edges: visible on anything.
fn draw_ring(picture: &mut RgbImage, (centre_x, centre_y): (f64, f64), radius: f64, stroke: f64) {
    let reach = (radius + 2.0 * stroke).ceil() as i32;
    let (column, row) = (centre_x.round() as i32, centre_y.round() as i32);
    for (y, x) in (row - reach..=row + reach).flat_map(|y| (column - reach..=column + reach).map(move |x| (y, x))) {
        let off = ((f64::from(x) + 0.5 - centre_x).hypot(f64::from(y) + 0.5 - centre_y) - radius).abs();
        match off / stroke {
            off if off < 0.9 => put(picture, x, y, WHITE),
            off if off < 1.7 => put(picture, x, y, BLACK),
            _ => {}
        }
    }
}
