//! Attention as it is drawn: one scale for a clip, and nothing for what is by construction.

use image::{Rgb, RgbImage};
use orthoformer_video::draw::{heat_layer, heated, overlay, source_overlay};
use orthoformer_video::output::FrameReport;
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track};
use orthoformer_video::views::Crop;

const GREY: Rgb<u8> = Rgb([128; 3]);

/// All weight on one patch of 4 x 3, and the same for all of them.
fn sharp(patch: usize) -> Vec<f32> {
    (0..12).map(|index| if index == patch { 1.0 } else { 0.0 }).collect()
}

fn flat() -> Vec<f32> {
    vec![1.0 / 12.0; 12]
}

/// A track over pictures of 64 x 48 pixels; its query is in no frame, so that there is no box.
fn track(frames: &[Vec<f32>]) -> Track {
    let grid = Grid::new(64, 48, 48, 16, 1).expect("small");
    let token = vec![0.0; grid.patch_numbers()];
    let sightings = frames.iter().map(|weights| Sighting::new(&grid, weights, &token)).collect();
    Track { grid, point: (8.0, 8.0), query: (0, 0), query_step: 99, sightings, device_bytes: 0 }
}

/// The most that a heat map covers.
fn hottest(track: &Track, step: usize) -> u8 {
    heat_layer(track, step).expect("there is one").pixels().map(|pixel| pixel.0[3]).max().expect("not empty")
}

fn grey(track: &Track) -> RgbImage {
    RgbImage::from_pixel(track.grid.width, track.grid.height, GREY)
}

#[test]
fn heat_has_one_scale_for_the_clip() {
    let both = track(&[sharp(0), flat()]);
    assert_eq!(both.strongest(), 1.0);
    let (sharp_cover, flat_cover) = (hottest(&both, 0), hottest(&both, 1));
    // Three quarters of the picture at the most, and of a twelfth of the weight its power of 0.7.
    let of = |heat: f64| (255.0 * 0.75 * heat.powf(0.7)).round() as u8;
    assert_eq!((sharp_cover, flat_cover), (of(1.0), of(1.0 / 12.0)));
    // Alone it is as hot as can be: the scale is the clip's, not a fixed one.
    assert_eq!(hottest(&track(&[flat()]), 0), of(1.0));
    assert!(heat_layer(&both, 2).is_none());
}

#[test]
fn overlays_are_heat_laid_over_frames() {
    let track = track(&[sharp(0), flat()]);
    let picture = overlay(&grey(&track), &track, 1);
    // The upper right corner: ring and cross are elsewhere.
    assert_eq!(*picture.get_pixel(63, 0), heated(GREY, 1.0 / 12.0));
    assert_ne!(*picture.get_pixel(63, 0), heated(GREY, 1.0));
    assert_eq!(heated(GREY, 0.0), GREY);
    assert_eq!(overlay(&grey(&track), &track, 2), grey(&track), "a step without a sighting");
}

#[test]
fn what_is_by_construction_is_not_drawn() {
    let own = track(&[sharp(5), sharp(5), flat()]);
    let mut constructed = own.clone();
    constructed.sightings[1].is_by_construction = true;
    constructed.sightings[1].temporal_weight = None;
    for (track, is_drawn) in [(&own, true), (&constructed, false)] {
        assert_eq!(overlay(&grey(track), track, 1) != grey(track), is_drawn);
        assert_eq!(source_overlay(&grey(track), track, 1) != grey(track), is_drawn);
        assert_eq!(hottest(track, 1) > 0, is_drawn);
        assert_eq!(track.strongest(), 1.0, "frame of patches 0");
        let report = FrameReport::new(3, &track.grid, &track.sightings[1]);
        assert_eq!(
            (report.centroid.is_some(), report.peak.is_some(), report.is_by_construction),
            (is_drawn, is_drawn, !is_drawn)
        );
        assert_eq!(report.to_string() == "frame    3: by construction, whatever the clip shows", !is_drawn, "{report}");
    }
    // Nor does it count for the scale.
    constructed.sightings[0].is_by_construction = true;
    assert_eq!(constructed.strongest(), f64::from(1.0_f32 / 12.0));
    constructed.sightings[2].is_by_construction = true;
    assert_eq!(constructed.strongest(), 0.0);
    // The share of such a frame is drawn all the same, and so is the box round the patch.
    constructed.sightings[1].temporal_weight = Some(0.5);
    let lit = |picture: &RgbImage| picture.pixels().filter(|pixel| pixel.0 == [64, 224, 255]).count();
    assert_eq!(lit(&overlay(&grey(&constructed), &constructed, 1)), 32 * 3, "half of the width, three rows below the edge");
    constructed.query_step = 1;
    assert_eq!(*overlay(&grey(&constructed), &constructed, 1).get_pixel(0, 0), Rgb([255; 3]));
}

#[test]
fn blank_frames_have_no_marks() {
    let blank = track(&[vec![0.0; 12], flat()]);
    assert_eq!(overlay(&grey(&blank), &blank, 0), grey(&blank));
    assert_eq!(hottest(&blank, 0), 0);
    assert_eq!(FrameReport::new(0, &blank.grid, &blank.sightings[0]).to_string(), "frame    0: no attention");
}

#[test]
fn source_pictures_show_attention_where_the_network_looks() {
    // Squares of 48 x 48 in frames of 96 x 48 pixels, cut into 4 x 4 patches of 12.
    for (crop, left) in [(Crop::Start, 0), (Crop::Centre, 24), (Crop::End, 48)] {
        let grid = Grid::of_square((96, 48), 24, crop, 6, 1).expect("small").magnified(3);
        let sighting = |weight: &dyn Fn(usize) -> f32| {
            let weights: Vec<f32> = (0..16).map(weight).collect();
            Sighting::new(&grid, &weights, &vec![0.0; grid.patch_numbers()])
        };
        let sightings = vec![sighting(&|_| 1.0 / 16.0), sighting(&|patch| if patch == 5 { 1.0 / 16.0 } else { 0.0 })];
        let track = Track { grid, point: (0.0, 0.0), query: (0, 0), query_step: 99, sightings, device_bytes: 0 };
        let drawn = |step: usize| source_overlay(&RgbImage::from_pixel(96, 48, GREY), &track, step);
        let everywhere = drawn(0);
        assert_eq!(everywhere.dimensions(), (96, 48));
        for (x, y, pixel) in everywhere.enumerate_pixels() {
            assert_eq!(*pixel != GREY, (left..left + 48).contains(&x), "{crop:?}: {x},{y}");
        }
        // Patch 5 is the second of the second row: there is the cross, and not a patch further.
        let cross = |column: u32, row: u32| *drawn(1).get_pixel(left + 6 + 12 * column, 6 + 12 * row) == Rgb([255; 3]);
        assert_eq!(
            [cross(1, 1), cross(0, 1), cross(2, 1), cross(1, 0), cross(2, 2)],
            [true, false, false, false, false],
            "{crop:?}"
        );
    }
}

#[test]
fn marks_grow_with_the_picture() {
    // The same clip in 64 x 48 and ten times as large.
    let drawn = |times: u32| {
        let grid = Grid::new(64 * times, 48 * times, 48, 16, 1).expect("small");
        let sighting = Sighting::new(&grid, &sharp(5), &vec![0.0; grid.patch_numbers()]);
        let track = Track { grid, point: (0.0, 0.0), query: (0, 0), query_step: 0, sightings: vec![sighting], device_bytes: 0 };
        source_overlay(&RgbImage::from_pixel(64 * times, 48 * times, GREY), &track, 0)
    };
    let share = |picture: &RgbImage| {
        let white = picture.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
        white as f64 / f64::from(picture.width() * picture.height())
    };
    let (small, large) = (share(&drawn(1)), share(&drawn(10)));
    assert!((large / small - 1.0).abs() < 0.25, "{small} and {large} of the picture are white");
}
