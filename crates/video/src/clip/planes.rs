//! Planar YUV: in another size, and as RGB.

use std::path::Path;

use image::RgbImage;
use orthoformer::Result;
use yuv::{YuvGrayImage, YuvPlanarImage, YuvStandardMatrix};

use super::colours::Colours;
use super::contents;

/// How chroma planes are subsampled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    Mono,
    Yuv420,
    Yuv422,
    Yuv444,
}

/// Planes with chroma of half the size in another size, chroma with all its rows, as ffmpeg scales them; `None` for planes that are too short.
pub(super) fn scaled(
    planes: [&[u8]; 3],
    (width, height): (u32, u32),
    (new_width, new_height): (u32, u32),
) -> Option<[Vec<u8>; 3]> {
    let [y, u, v] = planes;
    let half = (width.div_ceil(2), height.div_ceil(2));
    let chroma = |plane| resized(plane, half, (new_width.div_ceil(2), new_height));
    Some([resized(y, (width, height), (new_width, new_height))?, chroma(u)?, chroma(v)?])
}

/// Pixels that make one of another size: the first, and their weights.
type Taps = (i64, Vec<f32>);

/// A plane in another size.
fn resized(plane: &[u8], (width, height): (u32, u32), size: (u32, u32)) -> Option<Vec<u8>> {
    let (columns, rows) = (taps(width, size.0), taps(height, size.1));
    let place = |at: i64, count: u32| at.clamp(0, i64::from(count) - 1) as usize;
    let mut wide = Vec::with_capacity(size.0 as usize * height as usize);
    for row in plane.get(..width as usize * height as usize)?.chunks_exact(width as usize) {
        wide.extend(columns.iter().map(|(first, weights)| -> f32 {
            (*first..).zip(weights).map(|(at, weight)| weight * f32::from(row[place(at, width)])).sum()
        }));
    }
    let wide: Vec<&[f32]> = wide.chunks_exact(size.0 as usize).collect();
    let mut scaled = Vec::with_capacity(size.0 as usize * size.1 as usize);
    for (first, weights) in &rows {
        scaled.extend((0..size.0 as usize).map(|column| {
            let sum: f32 = (*first..).zip(weights).map(|(at, weight)| weight * wide[place(at, height)][column]).sum();
            sum.round().clamp(0.0, 255.0) as u8
        }));
    }
    Some(scaled)
}

/// What makes each of `to` pixels out of `from`: bicubic with ffmpeg's parameter.
fn taps(from: u32, to: u32) -> Vec<Taps> {
    const SHARPNESS: f64 = -0.6;
    let kernel = |x: f64| match x.abs() {
        x if x < 1.0 => ((SHARPNESS + 2.0) * x - (SHARPNESS + 3.0)) * x * x + 1.0,
        x if x < 2.0 => SHARPNESS * (((x - 5.0) * x + 8.0) * x - 4.0),
        _ => 0.0,
    };
    let ratio = f64::from(from) / f64::from(to);
    let spread = ratio.max(1.0);
    let of_pixel = |pixel: u32| {
        let centre = (f64::from(pixel) + 0.5) * ratio - 0.5;
        let (first, last) = ((centre - 2.0 * spread).ceil() as i64, (centre + 2.0 * spread).floor() as i64);
        let weights: Vec<f64> = (first..=last).map(|at| kernel((at as f64 - centre) / spread)).collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.into_iter().map(|weight| (weight / sum) as f32).collect())
    };
    (0..to).map(of_pixel).collect()
}

/// Planar YUV to RGB.
pub(super) fn to_rgb(
    path: &Path,
    [y_plane, u_plane, v_plane]: [&[u8]; 3],
    (width, height): (u32, u32),
    sampling: Sampling,
    Colours { range, matrix }: Colours,
) -> Result<RgbImage> {
    let matrix = matrix.unwrap_or(if height >= 720 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 });
    let mut rgb = RgbImage::new(width, height);
    let chroma = if sampling == Sampling::Yuv444 { width } else { width.div_ceil(2) };
    let planar = YuvPlanarImage { y_plane, y_stride: width, u_plane, u_stride: chroma, v_plane, v_stride: chroma, width, height };
    let gray = YuvGrayImage { y_plane, y_stride: width, width, height };
    let converted = match sampling {
        Sampling::Mono => yuv::yuv400_to_rgb(&gray, &mut rgb, width * 3, range, matrix),
        Sampling::Yuv420 => yuv::yuv420_to_rgb(&planar, &mut rgb, width * 3, range, matrix),
        Sampling::Yuv422 => yuv::yuv422_to_rgb(&planar, &mut rgb, width * 3, range, matrix),
        Sampling::Yuv444 => yuv::yuv444_to_rgb(&planar, &mut rgb, width * 3, range, matrix),
    };
    converted.map_err(|error| contents(path, &format!("a frame's planes do not fit its size: {error}")))?;
    Ok(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_scaled_without_a_shift_or_a_change_of_level() {
        let ramp: Vec<u8> = (0..64).map(|at| 20 + 10 * (at % 8)).collect();
        for size in [(8, 8), (20, 5), (3, 3), (8, 1)] {
            let found = resized(&ramp, (8, 8), size).expect("long enough");
            assert_eq!(found.len(), (size.0 * size.1) as usize);
            let mean = found.iter().map(|&value| f64::from(value)).sum::<f64>() / found.len() as f64;
            assert!((mean - 55.0).abs() < 1.0, "{size:?}: {mean}");
            assert!(found.chunks(size.0 as usize).all(|row| row.is_sorted() && row == &found[..size.0 as usize]), "{found:?}");
        }
        assert_eq!(resized(&ramp, (8, 8), (8, 8)).as_deref(), Some(&ramp[..]));
        assert_eq!(resized(&ramp, (8, 9), (8, 8)), None);
        let [y, u, v] = scaled([&ramp, &[7; 16], &[9; 16]], (8, 8), (5, 3)).expect("long enough");
        assert_eq!((y.len(), u, v), (15, vec![7; 9], vec![9; 9]));
    }
}
