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

/// Draws the sheet: up to 16 frames of patches spread over the clip, each with its frame number, the weight of its peak, and, in the
/// corner, its trajectory token: what the followed patch looks like there.
pub(super) fn draw(frames: &[RgbImage], track: &Track, title: &str) -> RgbImage {
    let (grid, steps) = (&track.grid, track.sightings.len());
    let count = steps.clamp(1, MOST);
    // Sheets about as wide as a screen: fewer columns for wide frames.
    let columns = (1600 / (grid.width + GAP)).clamp(1, 4).min(count as u32);
    let rows = (count as u32).div_ceil(columns);
    let (cell_width, cell_height) = (grid.width + GAP, grid.height + LINE + GAP);
    let text_width = GAP * 2 + title.chars().count() as u32 * 8;
    let width = (columns * cell_width + GAP).max(text_width);
    let mut sheet = RgbImage::from_pixel(width, rows * cell_height + LINE + GAP, Rgb([24, 24, 28]));
    draw_text(&mut sheet, GAP as i32, GAP as i32, title);
    for index in 0..count {
        let step = if count == 1 { 0 } else { index * (steps - 1) / (count - 1) };
        let frame = step * grid.depth as usize;
        let mut cell = overlay(&frames[frame], track, step);
        let inset = (grid.width.min(grid.height) / 4).max(grid.side);
        let seen = imageops::resize(&token(grid, &track.sightings[step]), inset, inset, imageops::FilterType::Nearest);
        let corner = (i64::from(grid.width - inset), i64::from(grid.height - inset));
        imageops::replace(&mut cell, &seen, corner.0, corner.1);
        draw_box(&mut cell, corner.0 as i32 - 1, corner.1 as i32 - 1, inset as i32 + 2, Rgb([255, 255, 255]));
        let (column, row) = (index as u32 % columns, index as u32 / columns);
        let (left, top) = (GAP + column * cell_width, GAP + LINE + row * cell_height);
        let label = format!("frame {frame}  peak {:.2}", track.sightings[step].peak_weight);
        draw_text(&mut sheet, left as i32, top as i32 + 3, &label);
        imageops::replace(&mut sheet, &cell, left.into(), (top + LINE).into());
    }
    sheet
}
