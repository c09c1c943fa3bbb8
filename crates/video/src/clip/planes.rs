//! Planar YUV: in another size, and as RGB.

use std::path::Path;

use image::{ImageBuffer, Luma, RgbImage, imageops};
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
    let scale = |plane: &[u8], (width, height): (u32, u32), new_width: u32| {
        let plane = ImageBuffer::<Luma<u8>, &[u8]>::from_raw(width, height, plane)?;
        Some(imageops::resize(&plane, new_width, new_height, imageops::FilterType::CatmullRom).into_raw())
    };
    let half = (width.div_ceil(2), height.div_ceil(2));
    let [y, u, v] = planes;
    let chroma = |plane| scale(plane, half, new_width.div_ceil(2));
    Some([scale(y, (width, height), new_width)?, chroma(u)?, chroma(v)?])
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
