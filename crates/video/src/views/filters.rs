//! Scaling as Pillow does it, which torchvision follows where it antialiases: what processors of transformers and timm call `resample`.
//!
//! Cubics are as wide as pixels are in the scaled frame at least, so that a frame that is made smaller is smoothed. Columns are made
//! first and rows then; both are rounded to 8 bits. Weights are whole numbers, as Pillow's are, so that each value is the same.

use image::RgbImage;

use super::crops::CropGeometry;

/// Bits of a weight behind the point.
const WEIGHT_BITS: u32 = 22;

/// How pixels of a scaled frame are made of those around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Between the two nearest rows and columns, even where a frame is made much smaller, and not rounded. The published test protocol.
    #[default]
    Interpolated,
    /// The nearest pixel.
    Nearest,
    /// Two cubics, with a slope of -0.5.
    Bicubic,
}

impl Filter {
    /// What it is called; nothing for what is published.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Interpolated => None,
            Self::Nearest => Some("nearest"),
            Self::Bicubic => Some("bicubic"),
        }
    }
}

/// How far cubics reach, pixels.
const SUPPORT: f64 = 2.0;

fn cubic(distance: f64) -> f64 {
    const SLOPE: f64 = -0.5;
    match distance.abs() {
        x if x < 1.0 => ((SLOPE + 2.0) * x - (SLOPE + 3.0)) * x * x + 1.0,
        x if x < SUPPORT => (((x - 5.0) * x + 8.0) * x - 4.0) * SLOPE,
        _ => 0.0,
    }
}

/// The pixels of a side that one of the scaled side is made of.
struct Taps {
    first: usize,
    weights: Vec<i64>,
}

impl Taps {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    /// A value of so many weighted steps, `value` of each of the pixels.
    fn sum(&self, value: impl Fn(usize) -> u8) -> u8 {
        let products = self.weights.iter().zip(self.first..).map(|(weight, index)| weight * i64::from(value(index)));
        let sum = products.sum::<i64>() + (1 << (WEIGHT_BITS - 1));
        (sum >> WEIGHT_BITS).clamp(0, 255) as u8
    }
}

/// For `count` pixels from `offset` of those `scaled` that `side` are scaled to.
fn taps(filter: Filter, side: u32, scaled: u32, offset: u32, count: u32) -> Vec<Taps> {
    let step = f64::from(side) / f64::from(scaled);
    if filter == Filter::Nearest {
        // Added up, as in Pillow: it may matter where a position is a whole number.
        let positions = std::iter::successors(Some(0.5 * step), |position| Some(position + step));
        let nearest =
            positions.skip(offset as usize).take(count as usize).map(|position| (position as usize).min(side as usize - 1));
        return nearest.map(|first| Taps { first, weights: vec![1 << WEIGHT_BITS] }).collect();
    }
    let width = step.max(1.0);
    let support = SUPPORT * width;
    let at = |index: u32| {
        let centre = (f64::from(index) + 0.5) * step;
        let first = ((centre - support + 0.5).max(0.0)) as usize;
        let end = ((centre + support + 0.5) as usize).min(side as usize);
        let weights: Vec<f64> = (first..end).map(|pixel| cubic((pixel as f64 - centre + 0.5) / width)).collect();
        let total: f64 = weights.iter().sum();
        let whole = |weight: f64| (weight / total * f64::from(1 << WEIGHT_BITS)).round() as i64;
        Taps { first, weights: weights.into_iter().map(whole).collect() }
    };
    (offset..offset + count).map(at).collect()
}

/// The square of `size` pixels of a frame: three bytes a pixel, row by row.
pub(super) fn resampled(frame: &RgbImage, filter: Filter, geometry: &CropGeometry, size: u32) -> Vec<u8> {
    let (width, height) = frame.dimensions();
    let columns = taps(filter, width, geometry.scaled_width, geometry.left, size);
    let rows = taps(filter, height, geometry.scaled_height, geometry.top, size);
    // Only the rows that the square needs.
    let first = rows.iter().map(|row| row.first).min().unwrap_or(0);
    let end = rows.iter().map(Taps::end).max().unwrap_or(0);
    let (stride, bytes) = (3 * width as usize, frame.as_raw());
    let mut narrow = Vec::with_capacity((end - first) * columns.len() * 3);
    for line in bytes.chunks_exact(stride).take(end).skip(first) {
        narrow.extend(columns.iter().flat_map(|column| [0, 1, 2].map(|channel| column.sum(|index| line[3 * index + channel]))));
    }
    let stride = 3 * columns.len();
    let of_row = |row: &Taps| (0..stride).map(|at| row.sum(|index| narrow[(index - first) * stride + at])).collect::<Vec<_>>();
    rows.iter().flat_map(of_row).collect()
}
