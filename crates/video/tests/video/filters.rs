//! Scaling as processors do it. `tests/views/pillow.safetensors` holds what Pillow makes of the frame that is drawn here.

use image::{Rgb, RgbImage};
use orthoformer_video::views::{Crop, Filter, Framing, Middle, Normalisation, Resize, crop_geometry, cropped_picture};
use safetensors::SafeTensors;

use crate::views::shipped;

const FILTERS: [Filter; 2] = [Filter::Nearest, Filter::Bicubic];

/// Waves, with white and black tiles: cubics overshoot at their edges.
fn frame(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match ((x / 6 + y / 4) % 5, (x / 5 + y / 7) % 4) {
        (0, _) => Rgb([0; 3]),
        (_, 0) => Rgb([255; 3]),
        _ => Rgb([x * 7 + y * 3, x * y, x * x + 5 * y].map(|value| value as u8)),
    })
}

fn framing(filter: Filter, [width, height]: [u32; 2]) -> Framing {
    Framing { size: width.min(height), resize: Resize::Sides { height, width }, filter, middle: Middle::Down }
}

#[test]
fn scaled_frames_are_those_of_pillow() {
    let bytes = std::fs::read(shipped("views/pillow.safetensors")).expect("shipped");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut compared = 0;
    for ([width, height], larger) in [([23, 17], ""), ([23, 17], " larger"), ([9, 30], ""), ([16, 12], ""), ([40, 10], "")] {
        for filter in FILTERS {
            let name = format!("{} {width} x {height}{larger}", filter.name().expect("one of a processor's"));
            let expected = file.tensor(&name).expect("shipped");
            let scaled = [expected.shape()[1], expected.shape()[0]];
            let framing = framing(filter, scaled.map(|side| side as u32));
            for crop in [Crop::Start, Crop::Centre, Crop::End] {
                let place = crop_geometry(width, height, framing, crop).expect("fits");
                let found = cropped_picture(&frame(width, height), framing, crop).expect("fits");
                for (x, y, pixel) in found.enumerate_pixels() {
                    let at = ((y + place.top) as usize * scaled[0] + (x + place.left) as usize) * 3;
                    assert_eq!(pixel.0, expected.data()[at..at + 3], "{name}, {crop:?}: {x} {y}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 6000, "{compared} pixels");
}

#[test]
fn numbers_are_those_of_the_rounded_picture() {
    let normalisation = Normalisation::new([0.2, 0.5, 0.7], [0.5, 1.0, 2.0], false).expect("right");
    for filter in FILTERS {
        let (frame, framing) = (frame(31, 50), framing(filter, [12, 19]));
        let picture = cropped_picture(&frame, framing, Crop::End).expect("fits");
        let found = normalisation.crop(&frame, framing, Crop::End).expect("fits");
        let of_channel = |(channel, mean, std): (usize, f32, f32)| {
            picture.pixels().map(move |pixel| (f32::from(pixel[channel]) / 255.0 - mean) / std).collect::<Vec<_>>()
        };
        let expected: Vec<f32> = [(0, 0.2, 0.5), (1, 0.5, 1.0), (2, 0.7, 2.0)].into_iter().flat_map(of_channel).collect();
        assert_eq!(found.data(), expected, "{filter:?}");
    }
}

#[test]
fn frames_of_one_colour_and_extreme_ones_stay_what_they_are() {
    for filter in FILTERS {
        for ([width, height], scaled) in
            [([1, 1], [7, 9]), ([16_384, 1], [3, 5]), ([1, 16_384], [5, 3]), ([5, 4], [1, 1]), ([6, 6], [6, 6])]
        {
            for crop in [Crop::Start, Crop::End] {
                let plain = RgbImage::from_pixel(width, height, Rgb([255, 0, 77]));
                let found = cropped_picture(&plain, framing(filter, scaled), crop).expect("fits");
                assert!(found.pixels().all(|pixel| pixel.0 == [255, 0, 77]), "{filter:?} {width} x {height}");
            }
        }
        let same = frame(16, 16);
        assert_eq!(cropped_picture(&same, framing(filter, [16, 16]), Crop::Centre).expect("fits"), same);
    }
}
