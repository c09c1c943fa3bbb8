//! Attention out: into storage textures and render targets.

use image::{Rgb, RgbImage};
use orthoformer::wgpu::{TextureFormat, TextureUsages};
use orthoformer_textures::Heat;
use orthoformer_video::draw::heat_layer;
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track};
use orthoformer_video::views::Crop;
use support::numbers;

use crate::host::{Host, decoded, encoded, picture};

/// Two moments of weights, as a network's softmax might be: a few large ones.
fn track(grid: Grid) -> Track {
    let token = vec![0.0; grid.patch_numbers()];
    let moment = |seed: u64| {
        let scores = numbers(seed, grid.patches(), 4.0);
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        let weights: Vec<f32> = scores.iter().map(|score| score.exp() / sum).collect();
        Sighting::new(&grid, &weights, &token)
    };
    let sightings = vec![moment(3), moment(4)];
    Track { grid, point: (0.0, 0.0), query: (0, 0), query_step: 99, sightings, device_bytes: 0 }
}

fn grids() -> Vec<Grid> {
    let whole = Grid::new(96, 64, 64, 16, 1).expect("small");
    let anchored = whole.anchored(50.0, 3.0).expect("inside");
    let single = Grid::new(20, 300, 16, 16, 1).expect("one column");
    vec![whole, anchored, single]
}

#[test]
fn heat_maps_are_those_of_the_host() {
    let host = Host::new();
    for grid in grids() {
        let track = track(grid);
        let weights: Vec<f32> = track.sightings.iter().flat_map(|sighting| sighting.weights.clone()).collect();
        let attention = host.elements(&weights);
        let heat = Heat::new(&host.engine, &grid, 2).expect("compiles");
        for moment in 0..2 {
            let usage = TextureUsages::STORAGE_BINDING;
            let canvas = host.texture((grid.width, grid.height), TextureFormat::Rgba8Unorm, usage);
            let mut encoder = host.encoder();
            heat.record_strongest(&host.engine, &mut encoder, attention.slice(..), 2).expect("records");
            let view = canvas.create_view(&Default::default());
            heat.record_map(&host.engine, &mut encoder, attention.slice(..), moment, &view).expect("records");
            host.submit(encoder);
            let expected = heat_layer(&track, moment).expect("there is one");
            let away = |expected: &image::RgbaImage| {
                let pairs = host.pixels(&canvas).into_iter().zip(expected.pixels().map(|pixel| pixel.0)).collect::<Vec<_>>();
                pairs.iter().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a.abs_diff(*b)).max()
            };
            assert!(away(&expected) <= Some(1), "{grid:?} {moment}: {:?}", away(&expected));
            assert!(away(&heat_layer(&track, 1 - moment).expect("there is one")) > Some(20), "the measure has teeth");
        }
    }
    host.assert_silent();
}

#[test]
fn heat_is_blended_over_what_a_target_shows() {
    let host = Host::new();
    let below = picture(96, 64, 8);
    for format in [TextureFormat::Rgba8Unorm, TextureFormat::Rgba8UnormSrgb, TextureFormat::Bgra8Unorm] {
        for grid in &grids()[..2] {
            let track = track(*grid);
            let weights: Vec<f32> = track.sightings.iter().flat_map(|sighting| sighting.weights.clone()).collect();
            let attention = host.elements(&weights);
            let mut heat = Heat::new(&host.engine, grid, 2).expect("compiles");
            let order = |[red, green, blue]: [u8; 3]| {
                if format == TextureFormat::Bgra8Unorm { [blue, green, red, 255] } else { [red, green, blue, 255] }
            };
            let bytes: Vec<u8> = below.pixels().flat_map(|pixel| order(pixel.0)).collect();
            let target = host.filled((96, 64), format, TextureUsages::RENDER_ATTACHMENT, &bytes);
            let mut encoder = host.encoder();
            heat.record_strongest(&host.engine, &mut encoder, attention.slice(..), 2).expect("records");
            let view = target.create_view(&Default::default());
            heat.draw(&host.engine, &mut encoder, attention.slice(..), 1, &view).expect("records");
            host.submit(encoder);
            let layer = heat_layer(&track, 1).expect("there is one");
            let blended = blend(&below, &layer, format.is_srgb());
            let found = host.pixels(&target);
            let expected = blended.pixels().map(|pixel| order(pixel.0));
            let away = found.iter().zip(expected).flat_map(|(a, b)| std::array::from_fn::<u8, 3, _>(|at| a[at].abs_diff(b[at])));
            let most = away.max();
            assert!(most <= Some(2), "{format:?}: {most:?}");
            let changed = below.pixels().zip(blended.pixels()).filter(|(a, b)| a != b).count();
            assert!(changed > 1000, "there is something to see");
        }
    }
    host.assert_silent();
}

/// A heat map laid over a picture: in linear light for sRGB targets, as the device blends.
fn blend(below: &RgbImage, layer: &image::RgbaImage, is_linear: bool) -> RgbImage {
    RgbImage::from_fn(below.width(), below.height(), |x, y| {
        let (Rgb(under), over) = (*below.get_pixel(x, y), layer.get_pixel(x, y).0);
        let cover = f64::from(over[3]) / 255.0;
        Rgb([0, 1, 2].map(|channel| {
            let [under, over] = [under[channel], over[channel]];
            let mixed = match is_linear {
                true => encoded(f64::from(decoded(under)) * (1.0 - cover) + f64::from(decoded(over)) * cover),
                false => f64::from(under) * (1.0 - cover) + f64::from(over) * cover,
            };
            mixed.round() as u8
        }))
    })
}

#[test]
fn heat_stays_within_the_square_that_a_grid_sees() {
    let host = Host::new();
    let grid = Grid::of_square((80, 40), 32, Crop::Start, 8, 1).expect("fits");
    let attention = host.elements(&[1.0 / 16.0; 16]);
    let heat = Heat::new(&host.engine, &grid, 1).expect("compiles");
    let canvas = host.texture((80, 40), TextureFormat::Rgba8Unorm, TextureUsages::STORAGE_BINDING);
    let mut encoder = host.encoder();
    heat.record_strongest(&host.engine, &mut encoder, attention.slice(..), 1).expect("records");
    let view = canvas.create_view(&Default::default());
    heat.record_map(&host.engine, &mut encoder, attention.slice(..), 0, &view).expect("records");
    host.submit(encoder);
    let covers: Vec<u8> = host.pixels(&canvas).iter().map(|pixel| pixel[3]).collect();
    for (x, y) in (0..40).flat_map(|y| (0..80).map(move |x| (x, y))) {
        // The left half of the picture is the square; everything in it weighs the same.
        let expected = if x < 40 { 191 } else { 0 };
        assert!(covers[y * 80 + x].abs_diff(expected) <= 1, "{x},{y}: {}", covers[y * 80 + x]);
    }
    host.assert_silent();
}
