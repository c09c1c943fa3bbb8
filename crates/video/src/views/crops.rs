//! Frames to squares: scaled to a network's size, cut, and their colours normalised.
//!
//! Scaling is bilinear between the two nearest rows and columns, even where a frame is made much smaller, unless a processor has another
//! [`Filter`]. Positions are float64; the published code's are float32, which changes results in the fourth place in large frames.
//! Only the pixels that a square needs are touched: a frame of float32 numbers, which libraries start from, would be three gigabytes
//! of the largest that is decoded.

use image::{Rgb, RgbImage};
use orthoformer::{Error, Result, Tensor};

use super::filters::{Filter, resampled};
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
    /// What people call it, in scaled frames that are [higher than wide](CropGeometry::is_upright) or not.
    pub fn name(self, is_upright: bool) -> &'static str {
        match (self, is_upright) {
            (Self::Centre, _) => "centre",
            (Self::Start, false) => "left",
            (Self::Start, true) => "top",
            (Self::End, false) => "right",
            (Self::End, true) => "bottom",
        }
    }
}

/// How a frame is scaled before a square is cut out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Its shorter side to the side of the square. The published test protocol.
    #[default]
    ToSquare,
    /// Its shorter side to so many pixels. This and what follows are the ways of image processors.
    ShortSide(u32),
    /// Both sides, whatever they were.
    Sides {
        /// Height of the scaled frame, pixels.
        height: u32,
        /// Width of the scaled frame, pixels.
        width: u32,
    },
    /// Not at all.
    Keep,
    /// Not at all, and nothing is cut off: frames that are no such squares are refused.
    Refuse,
}

/// Where the middle is if it lies between two pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Middle {
    /// At the second. The published test protocol.
    #[default]
    Up,
    /// At the first, as in transformers.
    Down,
    /// At the even one, as in torchvision, which timm crops with.
    Even,
}

impl Middle {
    /// Half of so many pixels.
    fn half(self, spare: u32) -> u32 {
        let down = spare / 2;
        match self {
            Self::Up => spare.div_ceil(2),
            Self::Down => down,
            Self::Even => down + (spare % 2) * (down % 2),
        }
    }
}

/// The squares that a network sees: how frames are scaled, and what is cut out of them. Made of a side alone, it is the published protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Side of the square, pixels.
    pub size: u32,
    /// How frames are scaled before.
    pub resize: Resize,
    /// What their pixels are made of then.
    pub filter: Filter,
    /// Where their middle is.
    pub middle: Middle,
}

impl From<u32> for Framing {
    fn from(size: u32) -> Self {
        Self { size, resize: Resize::ToSquare, filter: Filter::Interpolated, middle: Middle::Up }
    }
}

impl Framing {
    /// Whether there can be such squares.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], and [`Error::Argument`] for squares larger than the scaled frames.
    pub fn check(self) -> Result<()> {
        check_side("side of a square", self.size, MOST_SIZE)?;
        let sides = match self.resize {
            Resize::ToSquare | Resize::Keep | Resize::Refuse => return Ok(()),
            Resize::ShortSide(side) => [side; 2],
            Resize::Sides { height, width } => [height, width],
        };
        for side in sides {
            check_side("side of a scaled frame", side, MOST_SIZE)?;
        }
        check_holds(sides, self.size, "which frames are scaled to")
    }

    /// Width and height of a frame once it is scaled. The longer side is rounded down.
    fn scaled(self, width: u32, height: u32) -> [u32; 2] {
        let short = match self.resize {
            Resize::ToSquare => self.size,
            Resize::ShortSide(side) => side,
            Resize::Sides { height, width } => return [width, height],
            Resize::Keep | Resize::Refuse => return [width, height],
        };
        let (longer, shorter) = (width.max(height), width.min(height));
        // At most 16,384 times 4,096.
        let long = match self.resize {
            // In the published order, which may round down once more.
            Resize::ToSquare if shorter != short => (f64::from(longer) / f64::from(shorter) * f64::from(short)).floor() as u32,
            _ => (u64::from(short) * u64::from(longer) / u64::from(shorter)) as u32,
        };
        if height > width { [short, long] } else { [long, short] }
    }
}

/// Whether scaled frames of these sides hold a square.
fn check_holds(sides: [u32; 2], size: u32, how: &str) -> Result<()> {
    if sides.iter().all(|&side| side >= size) {
        return Ok(());
    }
    let [height, width] = sides;
    let expected = format!("at most {width} x {height} pixels, {how}");
    Err(Error::Argument { what: "side of a square", given: size.to_string(), expected })
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

impl CropGeometry {
    /// Whether squares are cut along the height: whether the scaled frame is higher than wide.
    pub fn is_upright(&self) -> bool {
        self.scaled_height > self.scaled_width
    }
}

/// Where a square lies in a frame of `width` x `height` pixels that is scaled. Along its shorter side it is in the middle.
///
/// # Errors
/// Those of [`Framing::check`]; [`Error::ZeroSize`] and [`Error::TooLarge`] for sides of nothing and of more than [`MAX_SIDE`],
/// [`Error::Argument`] for frames that are not scaled and smaller than the square.
pub fn crop_geometry(width: u32, height: u32, framing: impl Into<Framing>, crop: Crop) -> Result<CropGeometry> {
    let framing = framing.into();
    framing.check()?;
    check_side("width of a frame", width, MAX_SIDE)?;
    check_side("height of a frame", height, MAX_SIDE)?;
    let [scaled_width, scaled_height] = framing.scaled(width, height);
    if matches!(framing.resize, Resize::Keep | Resize::Refuse) {
        check_holds([height, width], framing.size, "which the clip has, as frames are not scaled")?;
    }
    if framing.resize == Resize::Refuse && [width, height] != [framing.size; 2] {
        let expected = format!("{0} x {0} pixels, as frames are neither scaled nor cut", framing.size);
        return Err(Error::Argument { what: "size of frames", given: format!("{width} x {height}"), expected });
    }
    let middle = |spare| framing.middle.half(spare);
    let [across, down] = [scaled_width, scaled_height].map(|side| side.saturating_sub(framing.size));
    let along = |spare: u32| match crop {
        Crop::Start => 0,
        Crop::Centre => middle(spare),
        Crop::End => spare,
    };
    let whole = CropGeometry { scaled_width, scaled_height, left: 0, top: 0 };
    let [left, top] = if whole.is_upright() { [middle(across), along(down)] } else { [along(across), middle(down)] };
    Ok(CropGeometry { left, top, ..whole })
}

fn check_side(what: &'static str, given: u32, most: u32) -> Result<()> {
    match given {
        0 => Err(Error::ZeroSize { what }),
        _ if given > most => Err(Error::TooLarge { what, given: given.into(), most: most.into() }),
        _ => Ok(()),
    }
}

/// The square that a network sees, as a picture of its size to draw on: [`Normalisation::crop`] before its colours are
/// normalised, rounded to 8 bits.
///
/// # Errors
/// Those of [`crop_geometry`].
pub fn cropped_picture(frame: &RgbImage, framing: impl Into<Framing>, crop: Crop) -> Result<RgbImage> {
    let framing = framing.into();
    let planes = scaled_planes(frame, framing, crop, &[std::array::from_fn(|step| step as f32); 3])?;
    let size = framing.size;
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

    /// For red, green and blue, the number that stands for each of the 256 steps.
    pub fn tables(&self) -> &[[f32; 256]; 3] {
        &self.tables
    }

    /// Whether blue comes first in what is handed out.
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// The square of a frame, `[3, side, side]`: channels, rows, columns.
    ///
    /// # Errors
    /// Those of [`crop_geometry`].
    pub fn crop(&self, frame: &RgbImage, framing: impl Into<Framing>, crop: Crop) -> Result<Tensor> {
        let framing = framing.into();
        let mut planes = scaled_planes(frame, framing, crop, &self.tables)?;
        let side = framing.size as usize;
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
fn scaled_planes(frame: &RgbImage, framing: Framing, crop: Crop, tables: &[[f32; 256]; 3]) -> Result<Vec<f32>> {
    let (width, height) = frame.dimensions();
    let geometry = crop_geometry(width, height, framing, crop)?;
    if framing.filter != Filter::Interpolated {
        let bytes = resampled(frame, framing.filter, &geometry, framing.size);
        let of_channel = |(channel, table): (usize, &[f32; 256])| {
            bytes.iter().skip(channel).step_by(3).map(|&step| table[usize::from(step)]).collect::<Vec<_>>()
        };
        return Ok(tables.iter().enumerate().flat_map(of_channel).collect());
    }
    let columns = neighbours(width, geometry.scaled_width, geometry.left, framing.size);
    let rows = neighbours(height, geometry.scaled_height, geometry.top, framing.size);
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbours {
    /// Index of the first.
    pub first: usize,
    /// Index of the second, which may be the first.
    pub second: usize,
    /// Share of the second, 0 to 1.
    pub weight: f32,
}

/// For `count` rows or columns from `offset` of those `scaled` that `side` are scaled to: their neighbours. Centres of pixels are mapped
/// on each other; beyond the centre of the outermost pixel there is only that.
pub fn neighbours(side: u32, scaled: u32, offset: u32, count: u32) -> Vec<Neighbours> {
    let step = f64::from(side) / f64::from(scaled);
    let last = side as usize - 1;
    let place = |index: u32| {
        let position = (step * (f64::from(index) + 0.5) - 0.5).max(0.0);
        let first = (position as usize).min(last);
        Neighbours { first, second: (first + 1).min(last), weight: (position - first as f64).clamp(0.0, 1.0) as f32 }
    };
    (offset..offset + count).map(place).collect()
}
