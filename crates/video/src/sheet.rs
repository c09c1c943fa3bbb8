//! A contact sheet: attention over a choice of frames, side by side.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage, imageops};

use super::draw::{WHITE, bar_height, draw_box, overlay, put, token};
use super::output::Drawing;
use super::track::Track;

/// Most frames on a sheet.
const MOST: usize = 16;
/// Height of a line of text with its margins, pixels.
const LINE: u32 = 14;
/// Space between frames, pixels.
const GAP: u32 = 6;

/// What the marks mean.
const LEGEND: &str =
    "heat: attention   ring: its centroid   +: its peak   square: the followed patch   corner: what it looks like";
/// What the bar means, where there is one.
const BAR_LEGEND: &str = "bar: share of the frame in what the network makes of the patch (all frames together: the whole width)";

/// The steps that are shown: spread over the clip, and the one that the query was taken from.
fn steps(track: &Track) -> Vec<usize> {
    let steps = track.sightings.len();
    let count = steps.clamp(1, MOST);
    let mut chosen: Vec<usize> = (0..count).map(|index| index * (steps.max(1) - 1) / (count.max(2) - 1)).collect();
    if let Some(nearest) = chosen.iter_mut().min_by_key(|step| step.abs_diff(track.query_step)) {
        *nearest = track.query_step;
    }
    chosen
}

/// Draws the sheet: up to 16 frames of patches spread over the clip, the followed patch's own among them, each with its frame number, the weight of its peak, and, in the
/// corner, its trajectory token: what the followed patch looks like there.
pub(super) fn draw(drawing: &Drawing<'_>) -> RgbImage {
    let (grid, steps) = (&drawing.track.grid, steps(drawing.track));
    let count = steps.len();
    // Sheets about as wide as a screen: fewer columns for wide frames.
    let columns = (1600 / (grid.width + GAP)).clamp(1, 4).min(count as u32);
    let rows = (count as u32).div_ceil(columns);
    let (cell_width, cell_height) = (grid.width + GAP, grid.height + LINE + GAP);
    let legend = legend(drawing.track);
    let words = legend.iter().map(|line| text_width(line)).fold(text_width(drawing.title), u32::max);
    let legend_height = legend.len() as u32 * LINE;
    let (width, height) = ((columns * cell_width + GAP).max(GAP * 2 + words), rows * cell_height + LINE + GAP + legend_height);
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([24, 24, 28]));
    draw_text(&mut sheet, GAP as i32, GAP as i32, drawing.title);
    for (line, text) in (0..).zip(legend) {
        draw_text(&mut sheet, GAP as i32, (height - legend_height) as i32 + line * LINE as i32, text);
    }
    for (index, &step) in steps.iter().enumerate() {
        let (column, row) = (index as u32 % columns, index as u32 / columns);
        let (left, top) = (GAP + column * cell_width, GAP + LINE + row * cell_height);
        draw_text(&mut sheet, left as i32, top as i32 + 3, &label(drawing, step));
        if let Some(cell) = cell(drawing, step) {
            imageops::replace(&mut sheet, &cell, left.into(), (top + LINE).into());
        }
    }
    sheet
}

/// What the marks mean.
fn legend(track: &Track) -> Vec<&'static str> {
    if bar_height(track) > 0 { vec![LEGEND, BAR_LEGEND] } else { vec![LEGEND] }
}

fn text_width(text: &str) -> u32 {
    text.chars().count() as u32 * 8
}

/// What is written over a frame: as much as there is room for.
fn label(drawing: &Drawing<'_>, step: usize) -> String {
    let depth = drawing.track.grid.depth as usize;
    let number = drawing.numbers.get(step * depth).copied().unwrap_or(step * depth);
    let Some(sighting) = drawing.track.sightings.get(step) else { return number.to_string() };
    let peak = format!("frame {number} peak {:.2}", sighting.peak_weight);
    let whole = sighting.temporal_weight.map_or_else(|| peak.clone(), |weight| format!("{peak} bar {weight:.2}"));
    let fits = [whole, peak].into_iter().find(|text| text_width(text) <= drawing.track.grid.width);
    fits.unwrap_or_else(|| number.to_string())
}

/// The frame with its attention, and the token in the corner.
fn cell(drawing: &Drawing<'_>, step: usize) -> Option<RgbImage> {
    let (track, grid) = (drawing.track, &drawing.track.grid);
    let mut cell = overlay(drawing.frames.get(step * grid.depth as usize)?, track, step);
    let sighting = track.sightings.get(step)?;
    if sighting.is_blank() {
        return Some(cell);
    }
    let inset = (grid.width.min(grid.height) / 4).max(grid.side);
    let seen = imageops::resize(&token(grid, sighting), inset, inset, imageops::FilterType::Nearest);
    let corner = (i64::from(grid.width - inset), i64::from(grid.height - inset) - i64::from(bar_height(track)));
    imageops::replace(&mut cell, &seen, corner.0, corner.1);
    draw_box(&mut cell, corner.0 as i32 - 1, corner.1 as i32 - 1, inset as i32 + 2, Rgb([255, 255, 255]));
    Some(cell)
}

/// Writes text with an 8 x 8 font; what the font does not have is left blank.
fn draw_text(picture: &mut RgbImage, left: i32, top: i32, text: &str) {
    for (index, character) in (0..).zip(text.chars()) {
        let rows = font8x8::BASIC_FONTS.get(character).unwrap_or([0; 8]);
        for (y, row) in (0..).zip(rows) {
            for x in (0..8).filter(|x| row >> x & 1 == 1) {
                put(picture, left + index * 8 + x, top + y, WHITE);
            }
        }
    }
}
