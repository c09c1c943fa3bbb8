//! A contact sheet: attention over a choice of frames, side by side.

use image::{Rgb, RgbImage, imageops};

use super::draw::{draw_box, draw_text, overlay, token};
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
pub(super) fn draw(frames: &[RgbImage], track: &Track, title: &str) -> RgbImage {
    let (grid, steps) = (&track.grid, steps(track));
    let count = steps.len();
    // Sheets about as wide as a screen: fewer columns for wide frames.
    let columns = (1600 / (grid.width + GAP)).clamp(1, 4).min(count as u32);
    let rows = (count as u32).div_ceil(columns);
    let (cell_width, cell_height) = (grid.width + GAP, grid.height + LINE + GAP);
    let text_width = |text: &str| text.chars().count() as u32 * 8;
    let width = (columns * cell_width + GAP).max(GAP * 2 + text_width(title).max(text_width(LEGEND)));
    let height = rows * cell_height + 2 * LINE + GAP;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([24, 24, 28]));
    draw_text(&mut sheet, GAP as i32, GAP as i32, title);
    draw_text(&mut sheet, GAP as i32, (height - LINE) as i32, LEGEND);
    for (index, &step) in steps.iter().enumerate() {
        let frame = step * grid.depth as usize;
        let mut cell = overlay(&frames[frame], track, step);
        let inset = (grid.width.min(grid.height) / 4).max(grid.side);
        let seen = imageops::resize(&token(grid, &track.sightings[step]), inset, inset, imageops::FilterType::Nearest);
        let corner = (i64::from(grid.width - inset), i64::from(grid.height - inset));
        imageops::replace(&mut cell, &seen, corner.0, corner.1);
        draw_box(&mut cell, corner.0 as i32 - 1, corner.1 as i32 - 1, inset as i32 + 2, Rgb([255, 255, 255]));
        let (column, row) = (index as u32 % columns, index as u32 / columns);
        let (left, top) = (GAP + column * cell_width, GAP + LINE + row * cell_height);
        let whole = format!("frame {frame}  peak {:.2}", track.sightings[step].peak_weight);
        let label = if text_width(&whole) <= grid.width { whole } else { frame.to_string() };
        draw_text(&mut sheet, left as i32, top as i32 + 3, &label);
        imageops::replace(&mut sheet, &cell, left.into(), (top + LINE).into());
    }
    sheet
}
