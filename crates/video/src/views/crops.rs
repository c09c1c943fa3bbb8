//! Frames to squares: scaled to a network's size, cut, and their colours normalised.
//!
//! Scaling is bilinear between the two nearest rows and columns, even where a frame is made much smaller. Positions are float64; the
//! published code's are float32, which changes results in the fourth place in large frames. Only the pixels that a square needs are
//! touched: a frame of float32 numbers, which libraries start from, would be three gigabytes of the largest that is decoded.

use image::{Rgb, RgbImage};
use orthoformer::{Error, Result, Tensor};

use crate::MAX_SIDE;

/// Largest side of a square, pixels.
pub const MOST_SIZE: u32 = 4096;

/// Which square of a frame is cut out, along its longer side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crop {
    /// The left end; the top of a frame that is higher than wide.
    Start,
    /// The middle.
    Centre,
    /// The right end; the bottom of a frame that is higher than wide.
    End,
}

impl Crop {
    /// What people call it in a frame of `width` x `height` pixels.
    pub fn name(self, width: u32, height: u32) -> &'static str {
        match (self, height > width) {
            (Self::Centre, _) => "centre",
            (Self::Start, false) => "left",
            (Self::Start, true) => "top",
            (Self::End, false) => "right",
            (Self::End, true) => "bottom",
        }
    }
}

/// Where a square lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropGeometry {
    /// Width of the whole scaled frame, pixels.
    pub scaled_width: u32,
    /// Its height, pixels.
    pub scaled_height: u32,
    /// Columns of the scaled frame to the left of the square.
    pub left: u32,
    /// Rows of the scaled frame above the square.
    pub top: u32,
}

/// Where the square of side `size` lies in a frame of `width` x `height` pixels, once the frame's shorter side is scaled to `size`; the
/// longer side of the scaled frame is rounded down.
///
/// # Errors
/// [`Error::ZeroSize`] and [`Error::TooLarge`] for sides of nothing, of more than [`MAX_SIDE`] and squares above [`MOST_SIZE`].
pub fn crop_geometry(width: u32, height: u32, size: u32, crop: Crop) -> Result<CropGeometry> {
    check_side("side of a square", size, MOST_SIZE)?;
    check_side("width of a frame", width, MAX_SIDE)?;
    check_side("height of a frame", height, MAX_SIDE)?;
    let (long, short) = (width.max(height), width.min(height));
    // At most 16,384 times 4,096.
    let long = if short == size { long } else { (f64::from(long) / f64::from(short) * f64::from(size)).floor() as u32 };
    let spare = long.saturating_sub(size);
    let offset = match crop {
        Crop::Start => 0,
        Crop::Centre => spare.div_ceil(2),
        Crop::End => spare,
    };
    Ok(match height > width {
        true => CropGeometry { scaled_width: size, scaled_height: long, left: 0, top: offset },
        false => CropGeometry { scaled_width: long, scaled_height: size, left: offset, top: 0 },
    })
}

/// Whether squares can have this side.
pub(super) fn check_size(size: u32) -> Result<()> {
    check_side("side of a square", size, MOST_SIZE)
}

fn check_side(what: &'static str, given: u32, most: u32) -> Result<()> {
    match given {
        0 => Err(Error::ZeroSize { what }),
        _ if given > most => Err(Error::TooLarge { what, given: given.into(), most: most.into() }),
        _ => Ok(()),
    }
}

/// The square that a network sees, as a picture of `size` x `size` pixels to draw on: [`Normalisation::crop`] before its colours are
/// normalised, rounded to 8 bits.
///
/// # Errors
/// Those of [`crop_geometry`].
pub fn cropped_picture(frame: &RgbImage, size: u32, crop: Crop) -> Result<RgbImage> {
    let planes = scaled_planes(frame, size, crop, &[std::array::from_fn(|step| step as f32); 3])?;
    let (side, area) = (size as usize, size as usize * size as usize);
    Ok(RgbImage::from_fn(size, size, |x, y| {
        let place = y as usize * side + x as usize;
        Rgb([0, 1, 2].map(|channel| planes[channel * area + place].round() as u8))
    }))
}

/// What a network is given for colours: `(x / 255 - mean) / std` in each channel.
#[derive(Clone, Debug)]
pub struct Normalisation {
    /// For red, green and blue, the number that stands for each of the 256 steps.
    tables: [[f32; 256]; 3],
    reversed: bool,
}

impl Normalisation {
    /// `mean` and `std` are those of red, green and blue; with `reversed` blue comes first in what is handed out.
    ///
    /// # Errors
    /// [`Error::Argument`] for numbers that are not finite, and deviations that are not above zero.
    pub fn new(mean: [f32; 3], std: [f32; 3], reversed: bool) -> Result<Self> {
        let right = |channel: usize| mean[channel].is_finite() && std[channel].is_finite() && std[channel] > 0.0;
        let table = |channel: usize| std::array::from_fn(|step| (step as f32 / 255.0 - mean[channel]) / std[channel]);
        let tables: [[f32; 256]; 3] = std::array::from_fn(table);
        if !(0..3).all(right) || tables.iter().flatten().any(|number| !number.is_finite()) {
            let expected = "finite means, and deviations above 0 that do not make colours infinite".to_owned();
            return Err(Error::Argument {
                what: "mean and deviation of colours",
                given: format!("{mean:?} and {std:?}"),
                expected,
            });
        }
        Ok(Self { tables, reversed })
    }

    /// The square of a frame, `[3, size, size]`: channels, rows, columns.
    ///
    /// # Errors
    /// Those of [`crop_geometry`].
    pub fn crop(&self, frame: &RgbImage, size: u32, crop: Crop) -> Result<Tensor> {
        let mut planes = scaled_planes(frame, size, crop, &self.tables)?;
        let side = size as usize;
        if self.reversed {
            let (red, rest) = planes.split_at_mut(side * side);
            red.swap_with_slice(&mut rest[side * side..]);
        }
        Tensor::new(vec![3, side, side], planes)
    }
}

/// A view `[3, count, size, size]` of its frames' squares `[3, size, size]`.
///
/// # Errors
/// [`Error::WrongShape`] if there are not so many of that size.
#[cfg(feature = "files")]
pub fn stacked(squares: &[&Tensor], count: usize, size: u32) -> Result<Tensor> {
    let (side, area) = (size as usize, size as usize * size as usize);
    let of_channel = |channel| squares.iter().filter_map(move |square| square.data().chunks(area.max(1)).nth(channel));
    Tensor::new(vec![3, count, side, side], (0..3).flat_map(of_channel).flatten().copied().collect())
}

/// The square of a frame whose colours stand for the numbers in `tables`: channels, rows, columns.
fn scaled_planes(frame: &RgbImage, size: u32, crop: Crop, tables: &[[f32; 256]; 3]) -> Result<Vec<f32>> {
    let (width, height) = frame.dimensions();
    let geometry = crop_geometry(width, height, size, crop)?;
    let columns = neighbours(width, geometry.scaled_width, geometry.left, size);
    let rows = neighbours(height, geometry.scaled_height, geometry.top, size);
    let bytes = frame.as_raw();
    let mut planes = Vec::with_capacity(3 * rows.len() * columns.len());
    for (channel, table) in tables.iter().enumerate() {
        for row in &rows {
            let line = |row: usize| &bytes[row * width as usize * 3..][..width as usize * 3];
            let (upper, lower) = (line(row.first), line(row.second));
            let number = |line: &[u8], column: usize| table[usize::from(line[column * 3 + channel])];
            let between = |line: &[u8], column: &Neighbours| {
                (1.0 - column.weight) * number(line, column.first) + column.weight * number(line, column.second)
            };
            let mix = |column: &Neighbours| (1.0 - row.weight) * between(upper, column) + row.weight * between(lower, column);
            planes.extend(columns.iter().map(mix));
        }
    }
    Ok(planes)
}

/// The two rows or columns of a frame that one of the scaled frame lies between.
struct Neighbours {
    first: usize,
    second: usize,
    /// Share of the second.
    weight: f32,
}

/// For `count` rows or columns from `offset` of those `scaled` that `side` are scaled to: their neighbours. Centres of pixels are mapped
/// on each other; beyond the centre of the outermost pixel there is only that.
fn neighbours(side: u32, scaled: u32, offset: u32, count: u32) -> Vec<Neighbours> {
    let step = f64::from(side) / f64::from(scaled);
    let last = side as usize - 1;
    let place = |index: u32| {
        let position = (step * (f64::from(index) + 0.5) - 0.5).max(0.0);
        let first = (position as usize).min(last);
        Neighbours { first, second: (first + 1).min(last), weight: (position - first as f64).clamp(0.0, 1.0) as f32 }
    };
    (offset..offset + count).map(place).collect()
}
