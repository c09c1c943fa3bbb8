//! A contact sheet: attention over a choice of frames, side by side.

use image::{Rgb, RgbImage, imageops};

use super::colour_bar::{self, BarLayout};
use super::draw::{WHITE, bar_height, draw_box, overlay, token};
use super::output::Drawing;
use super::text::{GLYPH, draw_text, text_width, wrapped};
use super::track::{Sighting, Track};

/// Most frames on a sheet.
const MOST: usize = 16;
/// Height of a line of text with its margins, pixels.
const LINE: u32 = 14;
/// Space between frames, pixels.
const GAP: u32 = 6;
/// Least width that text is given, pixels: sheets of few small frames are as wide.
const TEXT: u32 = 60 * GLYPH;

/// What the marks mean.
const LEGEND: &str = "heat: attention weight within the frame, on one scale for all frames; ring: its centroid; +: its peak; \
    square: the followed patch; corner: what it looks like there";
/// What the bar means, where there is one.
const BAR_LEGEND: &str = "bar: share of the frame in what the network makes of the patch (all frames together: the whole width)";

/// The steps that are shown: spread over those with attention to draw, or over all if there are none, and the one that the query was taken from.
fn steps(track: &Track) -> Vec<usize> {
    let is_shown = |(step, sighting): &(usize, &Sighting)| *step == track.query_step || sighting.is_drawn();
    let mut shown: Vec<usize> = track.sightings.iter().enumerate().filter(is_shown).map(|(step, _)| step).collect();
    if !track.sightings.iter().any(Sighting::is_drawn) {
        shown = (0..track.sightings.len()).collect();
    }
    let count = shown.len().min(MOST);
    let spread = (0..count).map(|index| index * shown.len().saturating_sub(1) / (count.max(2) - 1));
    let mut chosen: Vec<usize> = spread.filter_map(|index| shown.get(index).copied()).collect();
    if let Some(nearest) = chosen.iter_mut().min_by_key(|step| step.abs_diff(track.query_step))
        && shown.contains(&track.query_step)
    {
        *nearest = track.query_step;
    }
    chosen
}

/// Draws the sheet: up to 16 frames of patches spread over the clip, the followed patch's own among them, each with its frame number, the weight of its peak, and, in the
/// corner, its trajectory token: what the followed patch looks like there. Frames without attention of their own are left out, and the legend says how many.
pub(super) fn draw(drawing: &Drawing<'_>) -> RgbImage {
    let (track, grid, steps) = (drawing.track, &drawing.track.grid, steps(drawing.track));
    let count = steps.len() as u32;
    // Sheets about as wide as a screen: fewer columns for wide frames.
    let columns = (1600 / (grid.width + GAP)).clamp(1, 4).min(count.max(1));
    let (cell_width, cell_height) = (grid.width + GAP, grid.height + LINE + GAP);
    let room = (columns * cell_width - GAP).max(TEXT);
    let in_lines = |text: &str| wrapped(text, (room / GLYPH) as usize);
    let title = in_lines(drawing.title);
    let legend: Vec<String> = legend(track).iter().flat_map(|text| in_lines(text)).collect();
    let longest = title.iter().chain(&legend).map(|line| text_width(line)).max().unwrap_or(0);
    let scale = BarLayout { corner: [0; 2], width: room.min(TEXT), size: 1 };

    // From top to bottom: the title, the cells, the colour bar, the legend.
    let cells = GAP + title.len() as u32 * LINE;
    let bar = cells + count.div_ceil(columns) * cell_height;
    let words = bar + colour_bar::HEIGHT + GAP;
    let size = [2 * GAP + (columns * cell_width - GAP).max(longest).max(scale.width), words + legend.len() as u32 * LINE];
    let mut sheet = RgbImage::from_pixel(size[0], size[1], Rgb([24, 24, 28]));
    draw_lines(&mut sheet, GAP, &title);
    for (index, &step) in (0..).zip(&steps) {
        let corner = [GAP + index % columns * cell_width, cells + index / columns * cell_height];
        draw_text(&mut sheet, [corner[0] as i32, corner[1] as i32 + 3], &label(drawing, step), 1);
        if let Some(cell) = cell(drawing, step) {
            imageops::replace(&mut sheet, &cell, corner[0].into(), (corner[1] + LINE).into());
        }
    }
    colour_bar::draw(&mut sheet, BarLayout { corner: [GAP as i32, bar as i32], ..scale }, track.strongest());
    draw_lines(&mut sheet, words, &legend);
    sheet
}

/// Writes lines below each other.
fn draw_lines(sheet: &mut RgbImage, top: u32, lines: &[String]) {
    for (line, text) in (0..).zip(lines) {
        draw_text(sheet, [GAP as i32, (top + line * LINE) as i32], text, 1);
    }
}

/// What the marks mean, and what is left out.
fn legend(track: &Track) -> Vec<String> {
    let mut legend = vec![LEGEND.to_owned()];
    if bar_height(track, track.grid.height) > 0 {
        legend.push(BAR_LEGEND.to_owned());
    }
    if !track.sightings.iter().any(Sighting::is_drawn) {
        legend.push("nothing is attended to, or only by construction".to_owned());
        return legend;
    }
    let others = track.sightings.iter().enumerate().filter(|(step, _)| *step != track.query_step);
    let left_out = others.map(|(_, sighting)| sighting).filter(|sighting| !sighting.is_drawn());
    let (constructed, blank): (Vec<&Sighting>, Vec<&Sighting>) = left_out.partition(|sighting| sighting.is_by_construction);
    let all = track.sightings.len();
    for (count, why) in [
        (constructed.len(), "the kind of attention decides their weights, whatever the clip shows"),
        (blank.len(), "nothing in them is attended to"),
    ] {
        if count > 0 {
            legend.push(format!("left out: {count} of {all} frames of patches ({why})"));
        }
    }
    legend
}

/// What is written over a frame: as much as there is room for.
fn label(drawing: &Drawing<'_>, step: usize) -> String {
    let depth = drawing.track.grid.depth as usize;
    let number = drawing.numbers.get(step * depth).copied().unwrap_or(step * depth);
    let Some(sighting) = drawing.track.sightings.get(step) else { return number.to_string() };
    let peak = if sighting.is_drawn() { format!("peak {:.2}", sighting.peak_weight) } else { "not attended".to_owned() };
    let seen = format!("frame {number} {peak}");
    let whole = sighting.temporal_weight.map_or_else(|| seen.clone(), |weight| format!("{seen} bar {weight:.2}"));
    let fits = [whole, seen].into_iter().find(|text| text_width(text) <= drawing.track.grid.width);
    fits.unwrap_or_else(|| number.to_string())
}

/// The frame with its attention, and the token in the corner.
fn cell(drawing: &Drawing<'_>, step: usize) -> Option<RgbImage> {
    let (track, grid) = (drawing.track, &drawing.track.grid);
    let mut cell = overlay(drawing.frames.get(step * grid.depth as usize)?, track, step);
    let sighting = track.sightings.get(step)?;
    if !sighting.is_drawn() {
        return Some(cell);
    }
    let inset = (grid.width.min(grid.height) / 4).max(grid.side);
    let seen = imageops::resize(&token(grid, sighting), inset, inset, imageops::FilterType::Nearest);
    let corner = [grid.width.saturating_sub(inset), grid.height.saturating_sub(inset + bar_height(track, grid.height))];
    imageops::replace(&mut cell, &seen, corner[0].into(), corner[1].into());
    draw_box(&mut cell, corner.map(|edge| edge as i32 - 1), [inset as i32 + 2; 2], WHITE);
    Some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patches::Grid;

    /// A track whose frames of patches are drawn (`a`), blank (`b`), or by construction (`c`).
    fn track(kinds: &str, query_step: usize) -> Track {
        let grid = Grid::new(32, 32, 32, 16, 1).expect("small");
        let sighting = |kind: char| Sighting {
            is_by_construction: kind == 'c',
            ..Sighting::new(&grid, if kind == 'b' { &[0.0; 4] } else { &[0.1, 0.2, 0.3, 0.4] }, &vec![0.5; grid.patch_numbers()])
        };
        let sightings = kinds.chars().map(sighting).collect();
        Track { grid, point: (8.0, 8.0), query: (0, 0), query_step, sightings, device_bytes: 0 }
    }

    #[test]
    fn frames_without_attention_of_their_own_are_left_out() {
        let cases: [(&str, usize, &[usize], &[&str]); 6] = [
            ("aaaa", 1, &[0, 1, 2, 3], &[]),
            ("accc", 0, &[0], &["left out: 3 of 4 frames of patches (the kind of attention"]),
            ("bbab", 2, &[2], &["left out: 3 of 4 frames of patches (nothing in them"]),
            ("cabcca", 5, &[1, 5], &["left out: 3 of 6", "left out: 1 of 6"]),
            // The frame that the patch was pointed out in stays, and where nothing is left all do.
            ("aab", 2, &[0, 1, 2], &[]),
            ("cbc", 1, &[0, 1, 2], &["nothing is attended to, or only by construction"]),
        ];
        for (kinds, query_step, expected, said) in cases {
            let track = track(kinds, query_step);
            assert_eq!(steps(&track), expected, "{kinds}");
            let legend = legend(&track);
            assert_eq!(legend.len(), 1 + said.len(), "{kinds}: {legend:?}");
            for (line, said) in legend.iter().skip(1).zip(said) {
                assert!(line.starts_with(said), "{kinds}: {line}");
            }
        }
        let long = track(&"ac".repeat(40), 6);
        let shown = steps(&long);
        assert_eq!((shown.len(), shown.first(), shown.last()), (16, Some(&0), Some(&78)));
        assert!(shown.contains(&6) && shown.iter().all(|step| step % 2 == 0), "{shown:?}");
    }

    #[test]
    fn a_long_title_is_wrapped_and_a_sheet_without_frames_is_no_panic() {
        let frames = vec![RgbImage::new(32, 32); 2];
        let sheet = |title: &str, kinds: &str| {
            let track = track(kinds, 0);
            draw(&Drawing { frames: &frames, numbers: &[0, 1], track: &track, title, frame_rate: None }).dimensions()
        };
        let (width, height) = sheet("short", "aa");
        assert_eq!(sheet(&"word ".repeat(20), "aa"), (width, height + LINE), "100 characters in lines of 60");
        assert_eq!(sheet(&"w".repeat(130), "aa"), (width, height + 2 * LINE));
        assert!(width <= TEXT + 2 * GAP && sheet("", "").0 > 0);
    }
}
