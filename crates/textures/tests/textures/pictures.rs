//! Pictures in, to descriptors and patches.

use image::RgbImage;
use orthoformer::Engine;
use orthoformer::wgpu::{TextureFormat, TextureUsages};
use orthoformer_textures::{Describer, Picture, Scaler, YuvColours, YuvMatrix};
use orthoformer_video::patches::{Grid, mean_colour};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix};

use crate::host::{Host, frames, picture};

const FORMATS: [TextureFormat; 5] = [
    TextureFormat::Rgba8Unorm,
    TextureFormat::Rgba8UnormSrgb,
    TextureFormat::Bgra8Unorm,
    TextureFormat::Bgra8UnormSrgb,
    TextureFormat::Rgba16Float,
];

/// The scaled frames of pictures.
fn scaled(host: &Host, scaler: &Scaler, pictures: &[Picture]) -> Vec<RgbImage> {
    for (frame, picture) in pictures.iter().enumerate() {
        let mut encoder = host.encoder();
        scaler.record(&host.engine, &mut encoder, picture, frame).expect("records");
        host.submit(encoder);
    }
    frames(&host.words(scaler.frames()), scaler.grid().width, scaler.grid().height)
}

/// Largest difference between two pictures, steps, and the share of numbers that differ.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let each = || a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b));
    let differing = each().filter(|&steps| steps > 0).count();
    (each().max().unwrap_or(0), differing as f64 / a.as_raw().len() as f64)
}

#[test]
fn scaled_pixels_are_those_of_the_host_in_every_format() {
    let host = Host::new();
    // Smaller, larger, as it is, and smaller in one direction.
    for (width, height, size) in [(320, 240, 224), (70, 45, 96), (96, 64, 64), (333, 40, 48)] {
        let grid = Grid::new(width, height, size, 16, 2).expect("small");
        let pictures = [0, 1].map(|seed| picture(width, height, seed));
        let expected = pictures.each_ref().map(|frame| grid.scale(frame));
        for format in FORMATS {
            let uploaded = pictures.each_ref().map(|frame| host.upload(frame, format));
            let scaler = Scaler::new(&host.engine, &uploaded[0], &grid).expect("compiles");
            let found = scaled(&host, &scaler, &uploaded);
            for (found, expected) in found.iter().zip(&expected) {
                let (most, share) = difference(found, expected);
                assert!(most <= 1 && share < 0.002, "{format:?} {width} x {height}: {most}, {share}");
            }
            // The measure has teeth.
            assert!(difference(&found[0], &expected[1]).0 > 50);
        }
    }
    host.assert_silent();
}

#[test]
fn planes_of_nv12_become_the_colours_of_a_decoder() {
    let host = Host::new();
    // Odd sizes have chroma beyond their edge; the grid is as large as the picture.
    for (matrix, standard) in [
        (YuvMatrix::Bt601, YuvStandardMatrix::Bt601),
        (YuvMatrix::Bt709, YuvStandardMatrix::Bt709),
        (YuvMatrix::Bt2020, YuvStandardMatrix::Bt2020),
    ] {
        for (is_full, range) in [(false, YuvRange::Limited), (true, YuvRange::Full)] {
            for (width, height) in [(64u32, 48u32), (45, 33)] {
                let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
                let wave = |seed: u32, width: u32, height: u32| picture(width, height, seed).pixels().map(|p| p.0[0]).collect();
                let luma: Vec<u8> = wave(1, width, height);
                let (u, v): (Vec<u8>, Vec<u8>) = (wave(2, half_width, half_height), wave(3, half_width, half_height));
                let planar = YuvPlanarImage {
                    y_plane: &luma,
                    y_stride: width,
                    u_plane: &u,
                    u_stride: half_width,
                    v_plane: &v,
                    v_stride: half_width,
                    width,
                    height,
                };
                let mut expected = RgbImage::new(width, height);
                yuv::yuv420_to_rgb(&planar, &mut expected, width * 3, range, standard).expect("converts");
                let chroma: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [u, v]).collect();
                let usage = TextureUsages::TEXTURE_BINDING;
                let luma = host.filled((width, height), TextureFormat::R8Unorm, usage, &luma);
                let chroma = host.filled((half_width, half_height), TextureFormat::Rg8Unorm, usage, &chroma);
                let [luma, chroma] = [luma, chroma].map(|texture| texture.create_view(&Default::default()));
                let colours = YuvColours { matrix, is_full };
                let picture = Picture::Nv12 { luma, chroma, colours };
                let side = if width == 64 { 16 } else { 3 };
                let grid = Grid::new(width, height, width.min(height), side, 1).expect("small");
                assert_eq!((grid.width, grid.height), (width, height));
                let scaler = Scaler::new(&host.engine, &picture, &grid).expect("compiles");
                let found = scaled(&host, &scaler, &[picture]);
                let (most, share) = difference(&found[0], &expected);
                // The decoder's numbers are fixed-point.
                assert!(most <= 1 && share < 0.2, "{colours:?} {width} x {height}: {most}, {share}");
            }
        }
    }
    host.assert_silent();
}

/// Largest difference between what was found and what is expected; infinite where something is not finite.
fn farthest(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let each = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    each.fold(0.0, |most, away| if away.is_finite() { most.max(away) } else { f32::INFINITY })
}

#[test]
fn descriptors_and_patches_are_those_of_the_host() {
    let host = Host::new();
    // Patches that reach beyond the frame, of odd and even sides, and of frames that make two unequal halves.
    for (width, height, side, depth, anchor) in [
        (64, 48, 16, 2, None),
        (70, 45, 7, 3, Some((3.0, 44.0))),
        (64, 64, 16, 1, Some((33.3, 2.1))),
        (9, 7, 5, 1, Some((8.9, 0.0))),
    ] {
        let grid = Grid::new(width, height, width.min(height), side, depth).expect("small");
        let grid = anchor.map_or(grid, |(x, y)| grid.anchored(x, y).expect("inside"));
        let pictures: Vec<Picture> =
            (0..depth).map(|seed| host.upload(&picture(width, height, seed), TextureFormat::Rgba8Unorm)).collect();
        let scaler = Scaler::new(&host.engine, &pictures[0], &grid).expect("compiles");
        let frames = scaled(&host, &scaler, &pictures);
        let describer = Describer::new(&host.engine, &grid, 2).expect("compiles");
        let [keys, values] = [grid.descriptor_size(), grid.patch_numbers()].map(|size| size * grid.patches());
        let all: Vec<&RgbImage> = frames.iter().collect();
        for (moment, own_mean) in [(1, None), (0, Some([0.2, 0.5, 0.7]))] {
            let [ring_of_keys, ring_of_values] = [keys, values].map(|elements| host.poisoned(2 * elements));
            let mut encoder = host.encoder();
            match own_mean {
                Some(mean) => describer.set_mean(&host.engine, mean),
                None => describer.record_mean(&host.engine, &mut encoder, &scaler).expect("records"),
            }
            let engine = &host.engine;
            describer.record(engine, &mut encoder, &scaler, ring_of_keys.slice(..), moment).expect("records");
            describer.record_patches(engine, &mut encoder, &scaler, ring_of_values.slice(..), moment).expect("records");
            host.submit(encoder);
            let mean = own_mean.unwrap_or_else(|| mean_colour(&frames));
            let (found, cut) = (host.floats(&ring_of_keys), host.floats(&ring_of_values));
            let away = farthest(&found[moment * keys..][..keys], &grid.describe(&all, mean));
            assert!(away < 1e-5, "{grid:?}, {moment}: {away}");
            assert!(farthest(&cut[moment * values..][..values], &grid.cut(&all)) < 1e-6, "{grid:?}, {moment}");
            // The other moment is left alone.
            assert!(
                found[(1 - moment) * keys..][..keys].iter().chain(&cut[(1 - moment) * values..][..values]).all(|x| x.is_nan())
            );
            // The measure has teeth.
            assert!(farthest(&found[moment * keys..][..keys], &grid.describe(&all, [0.9, 0.1, 0.4])) > 1e-2);
        }
    }
    host.assert_silent();
}

#[test]
fn the_second_time_makes_nothing() {
    let host = Host::new();
    let grid = Grid::new(64, 48, 48, 16, 1).expect("small");
    let pictures = [0, 1].map(|seed| host.upload(&picture(64, 48, seed), TextureFormat::Rgba8Unorm));
    let scaler = Scaler::new(&host.engine, &pictures[0], &grid).expect("compiles");
    let record = |engine: &Engine, number: usize| {
        let mut encoder = host.encoder();
        scaler.record(engine, &mut encoder, &pictures[number % 2], 0).expect("records");
        host.submit(encoder);
        host.device.poll(orthoformer::wgpu::PollType::wait_indefinitely()).expect("polls");
    };
    (0..4).for_each(|number| record(&host.engine, number));
    let before = host.engine.allocated_bytes();
    (0..40).for_each(|number| record(&host.engine, number));
    assert_eq!(host.engine.allocated_bytes(), before);
    host.assert_silent();
}
