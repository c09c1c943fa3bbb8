//! Cutting frames into space-time patches, and describing each patch by a few numbers.

use image::{Rgb, RgbImage, imageops};
use orthoformer::{Error, Result};

use super::summed::SummedColours;
use super::views::{Crop, CropGeometry, Framing, crop_geometry};

/// Cells in a row and in a column of a descriptor.
pub const CELLS: u32 = 4;
/// Side of the square that a descriptor looks at, in patch sides: what surrounds a patch tells it from its like. With the patch alone,
/// an eye was taken for a mouth, or for the ceiling.
const WINDOW: f64 = 4.0;

/// Most patches in a frame: keys of one softmax, whose loops have to run to their end on every driver.
const MOST_PATCHES: u64 = 8192;
/// Most bytes of the patches of one moment: they are bound as a whole.
const MOST_BYTES: u64 = 96 << 20;

/// How a clip is cut: patches of `side x side` pixels in `depth` consecutive frames, after scaling the frames. Pictures are the scaled frames, or squares
/// cut out of them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Grid {
    /// Width of the clip's frames before scaling, pixels.
    pub source_width: u32,
    /// Height of the clip's frames before scaling, pixels.
    pub source_height: u32,
    /// Where pictures lie in the scaled frames: all of them, or a square.
    pub place: CropGeometry,
    /// Width of the pictures, pixels.
    pub width: u32,
    /// Height of the pictures, pixels.
    pub height: u32,
    /// Side of a patch, pixels of the picture.
    pub side: u32,
    /// Frames in a patch.
    pub depth: u32,
    /// Patches in a row.
    pub columns: u32,
    /// Rows of patches.
    pub rows: u32,
    /// Left edge of the first column in the picture, pixels: 0, or below where the grid is anchored at a point. Patches that
    /// reach beyond the frame see its edge repeated.
    pub left: i32,
    /// Top edge of the first row, likewise.
    pub top: i32,
}

impl Grid {
    /// A grid over frames scaled so that the short side is about `size` pixels and both are whole numbers of patches.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], and [`Error::TooLarge`] for patches beyond 256 pixels or 64 frames, frames beyond 4096 pixels or
    /// 8192 patches, or patches of one moment (all pixels of `depth` frames as float32) beyond 96 MiB.
    pub fn new(source_width: u32, source_height: u32, size: u32, side: u32, depth: u32) -> Result<Self> {
        let checks = [("frame width", source_width, u32::MAX), ("frame height", source_height, u32::MAX), ("size", size, 4096)];
        for (what, given, most) in checks.into_iter().chain([("patch side", side, 256), ("patch depth", depth, 64)]) {
            match given {
                0 => return Err(Error::ZeroSize { what }),
                _ if given > most => return Err(Error::TooLarge { what, given: given.into(), most: most.into() }),
                _ => {}
            }
        }
        let scale = f64::from(size) / f64::from(source_width.min(source_height));
        let patches = |length: u32| ((f64::from(length) * scale / f64::from(side)).round() as u32).max(1);
        let (columns, rows) = (patches(source_width), patches(source_height));
        let longest = u64::from(columns.max(rows)) * u64::from(side);
        if longest > 4096 {
            return Err(Error::TooLarge { what: "long side of the scaled frame", given: longest, most: 4096 });
        }
        let (width, height) = (columns * side, rows * side);
        // An anchored grid has one more column and row.
        let most = u64::from(columns + 1) * u64::from(rows + 1);
        if most > MOST_PATCHES {
            let what = "patches in a frame (a smaller size or larger patches have fewer)";
            return Err(Error::TooLarge { what, given: most, most: MOST_PATCHES });
        }
        let pixels = u64::from(width + side) * u64::from(height + side) * u64::from(depth);
        if pixels * 12 > MOST_BYTES {
            let what = "pixels in a moment of patches (scaled width x height x depth; a smaller size or depth has fewer)";
            return Err(Error::TooLarge { what, given: pixels, most: MOST_BYTES / 12 });
        }
        let place = CropGeometry { scaled_width: width, scaled_height: height, left: 0, top: 0 };
        Ok(Self { source_width, source_height, place, width, height, side, depth, columns, rows, left: 0, top: 0 })
    }

    /// The grid of a network that sees a square of scaled frames.
    ///
    /// # Errors
    /// Those of [`crop_geometry`]; [`Error::ZeroSize`] and [`Error::DoesNotDivide`] for patches that do not fill the square.
    pub fn of_square(
        (source_width, source_height): (u32, u32),
        framing: impl Into<Framing>,
        crop: Crop,
        side: u32,
        depth: u32,
    ) -> Result<Self> {
        let framing = framing.into();
        let (place, size) = (crop_geometry(source_width, source_height, framing, crop)?, framing.size);
        if side == 0 || depth == 0 {
            return Err(Error::ZeroSize { what: if side == 0 { "patch side" } else { "patch depth" } });
        }
        if !size.is_multiple_of(side) {
            let (given, divisor) = (size.into(), side.into());
            return Err(Error::DoesNotDivide { what: "side of a square", given, divisor_name: "patch side", divisor });
        }
        let across = size / side;
        let (width, height, columns, rows) = (size, size, across, across);
        Ok(Self { source_width, source_height, place, width, height, side, depth, columns, rows, left: 0, top: 0 })
    }

    /// Whether squares are cut along the height of the scaled picture.
    pub fn is_upright(&self) -> bool {
        self.place.is_upright()
    }

    /// The same grid over pictures made `times` as large, to draw on.
    pub fn magnified(&self, times: u32) -> Self {
        let CropGeometry { scaled_width, scaled_height, left, top } = self.place;
        let [scaled_width, scaled_height, place_left, place_top] =
            [scaled_width, scaled_height, left, top].map(|size| size * times);
        let place = CropGeometry { scaled_width, scaled_height, left: place_left, top: place_top };
        let [width, height, side] = [self.width, self.height, self.side].map(|size| size * times);
        let [left, top] = [self.left, self.top].map(|edge| edge * times as i32);
        Self { place, width, height, side, left, top, ..*self }
    }

    /// The grid moved by less than a patch, so that a patch is centred on a point of the source picture.
    ///
    /// # Errors
    /// [`Error::PointOutside`].
    pub fn anchored(&self, x: f64, y: f64) -> Result<Self> {
        let (width, height) = (self.source_width, self.source_height);
        if !(x >= 0.0 && y >= 0.0 && x < f64::from(width) && y < f64::from(height)) {
            return Err(Error::PointOutside { x, y, width, height });
        }
        let side = self.side as i32;
        // First edge, and number of patches, along one axis.
        let along = |point: f64, length: u32| {
            let corner = (point - f64::from(self.side) / 2.0).round() as i32;
            let first = corner.rem_euclid(side) - if corner.rem_euclid(side) > 0 { side } else { 0 };
            (first, (length as i32 - first).unsigned_abs().div_ceil(self.side))
        };
        let (x, y) = self.to_picture(x, y);
        let ((left, columns), (top, rows)) = (along(x, self.width), along(y, self.height));
        Ok(Self { left, top, columns, rows, ..*self })
    }

    /// `S`: patches in a frame.
    pub fn patches(&self) -> usize {
        (self.columns * self.rows) as usize
    }
    /// Numbers in a patch: `depth x side x side x 3`.
    pub fn patch_numbers(&self) -> usize {
        (self.depth * self.side * self.side) as usize * 3
    }

    /// Scales a frame to the grid.
    pub fn scale(&self, frame: &RgbImage) -> RgbImage {
        if frame.dimensions() == (self.width, self.height) {
            return frame.clone();
        }
        imageops::resize(frame, self.width, self.height, imageops::FilterType::Triangle)
    }

    /// The patch under a point of the source picture; for a point outside, the nearest.
    pub fn patch_at(&self, x: f64, y: f64) -> usize {
        let (x, y) = self.to_picture(x, y);
        let along = |point: f64, first: i32, count: u32| {
            ((point - f64::from(first)) / f64::from(self.side)).floor().clamp(0.0, f64::from(count - 1)) as usize
        };
        along(y, self.top, self.rows) * self.columns as usize + along(x, self.left, self.columns)
    }

    /// Centre of a patch in the source picture, pixels; where that is outside, the nearest point inside. Fractions of patches are fine.
    pub fn centre(&self, column: f64, row: f64) -> (f64, f64) {
        let along = |first: i32, index: f64| f64::from(first) + (index + 0.5) * f64::from(self.side);
        self.to_source(along(self.left, column), along(self.top, row))
    }

    /// Where a point of the source picture lies in the grid's pictures, pixels; outside of them, if what it shows is.
    pub fn to_picture(&self, x: f64, y: f64) -> (f64, f64) {
        let along = |at: f64, scaled: u32, source: u32, first: u32| at * f64::from(scaled) / f64::from(source) - f64::from(first);
        let CropGeometry { scaled_width, scaled_height, left, top } = self.place;
        (along(x, scaled_width, self.source_width, left), along(y, scaled_height, self.source_height, top))
    }

    /// Where a point of the grid's pictures lies in the source picture, pixels; where that is outside, the nearest point inside.
    pub fn to_source(&self, x: f64, y: f64) -> (f64, f64) {
        let along = |at: f64, first: u32, source: u32, scaled: u32| {
            ((at + f64::from(first)) * f64::from(source) / f64::from(scaled)).clamp(0.0, f64::from(source) - 0.5)
        };
        let CropGeometry { scaled_width, scaled_height, left, top } = self.place;
        (along(x, left, self.source_width, scaled_width), along(y, top, self.source_height, scaled_height))
    }

    /// Width and height of a patch in the source picture, pixels.
    pub fn patch_size(&self) -> (f64, f64) {
        let along = |scaled: u32, source: u32| f64::from(self.side) * f64::from(source) / f64::from(scaled);
        (along(self.place.scaled_width, self.source_width), along(self.place.scaled_height, self.source_height))
    }

    /// Columns and rows of all patches, row by row.
    fn places(self) -> impl Iterator<Item = (i32, i32)> {
        (0..self.rows as i32).flat_map(move |row| (0..self.columns as i32).map(move |column| (column, row)))
    }

    /// Numbers of the patches of `depth` scaled frames, `[S, depth, side, side, 3]`, each 0 to 1.
    pub fn cut(&self, frames: &[&RgbImage]) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(self.patches() * self.patch_numbers());
        let side = self.side as i32;
        for (column, row) in self.places() {
            let (left, top) = (self.left + column * side, self.top + row * side);
            for frame in frames {
                for (y, x) in (top..top + side).flat_map(|y| (left..left + side).map(move |x| (y, x))) {
                    numbers.extend(pixel(frame, x, y).0.map(|value| f32::from(value) / 255.0));
                }
            }
        }
        numbers
    }

    /// Numbers in a descriptor: 96, or 48 for patches of one frame.
    pub fn descriptor_size(&self) -> usize {
        (CELLS * CELLS * 3 * self.depth.min(2)) as usize
    }

    /// Contrast-normalised descriptors of the patches of `depth` scaled frames, `[S, descriptor size]`: colour means over 4 x 4 cells of
    /// a square of four patch sides around the patch, in both halves of the patch's time, less `mean`, scaled to length one.
    pub fn describe(&self, frames: &[&RgbImage], mean: [f32; 3]) -> Vec<f32> {
        let halves = frames.chunks(frames.len().div_ceil(self.depth.min(2) as usize).max(1));
        let halves: Vec<SummedColours> = halves.map(SummedColours::of).collect();
        let mut numbers = Vec::with_capacity(self.patches() * self.descriptor_size());
        for (column, row) in self.places() {
            let mut descriptor = Vec::with_capacity(self.descriptor_size());
            for half in &halves {
                for (cell_row, cell_column) in (0..CELLS).flat_map(|row| (0..CELLS).map(move |column| (row, column))) {
                    let (left, right) = self.cell(self.left, column, cell_column);
                    let (top, bottom) = self.cell(self.top, row, cell_row);
                    let colour = half.mean(left..right, top..bottom);
                    descriptor.extend(colour.iter().zip(mean).map(|(colour, mean)| colour - mean));
                }
            }
            let length = descriptor.iter().map(|value| value * value).sum::<f32>().sqrt();
            // What is flatter than one step of 8-bit colour is noise, and is not blown up to full length.
            let floor = (descriptor.len() as f32).sqrt() / 255.0;
            numbers.extend(descriptor.iter().map(|value| value / length.max(floor)));
        }
        numbers
    }

    /// First and last edge of a descriptor's cell along one axis, pixels of the scaled frame.
    fn cell(&self, first: i32, patch: i32, cell: u32) -> (i32, i32) {
        let side = f64::from(self.side);
        let start = f64::from(first) + (f64::from(patch) + 0.5 - WINDOW / 2.0) * side;
        let step = WINDOW * side / f64::from(CELLS);
        let edge = |index: u32| (start + f64::from(index) * step).round() as i32;
        (edge(cell), edge(cell + 1))
    }
}

/// A pixel, or the nearest one if it is outside.
fn pixel(frame: &RgbImage, x: i32, y: i32) -> Rgb<u8> {
    let clamp = |at: i32, length: u32| at.clamp(0, length as i32 - 1) as u32;
    *frame.get_pixel(clamp(x, frame.width()), clamp(y, frame.height()))
}

/// Mean colour of frames, each channel 0 to 1.
pub fn mean_colour(frames: &[RgbImage]) -> [f32; 3] {
    let (mut sums, mut count) = ([0u64; 3], 0u64);
    for pixel in frames.iter().flat_map(RgbImage::pixels) {
        sums.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += u64::from(value));
        count += 1;
    }
    sums.map(|sum| (sum as f64 / (count.max(1) as f64 * 255.0)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_cover_the_frame() {
        let grid = Grid::new(320, 240, 224, 16, 2).expect("small");
        assert_eq!((grid.columns, grid.rows, grid.width, grid.height), (19, 14, 304, 224));
        assert_eq!(grid.patch_at(0.0, 0.0), 0);
        assert_eq!(grid.patch_at(319.9, 239.9), 19 * 14 - 1);
        for (x, y) in [(0.0, 0.0), (160.0, 120.0), (319.0, 239.0), (37.3, 201.9)] {
            let anchored = grid.anchored(x, y).expect("inside");
            let patch = anchored.patch_at(x, y) as u32;
            let centre = anchored.centre(f64::from(patch % anchored.columns), f64::from(patch / anchored.columns));
            assert!((centre.0 - x).abs() < 1.0 && (centre.1 - y).abs() < 1.0, "{x},{y}: {centre:?}");
            assert!(anchored.left <= 0 && anchored.left + (anchored.columns * 16) as i32 >= 304);
            assert!(anchored.top <= 0 && anchored.top + (anchored.rows * 16) as i32 >= 224);
        }
    }

    #[test]
    fn squares_map_points_there_and_back() {
        for (crop, left) in [(Crop::Start, 0), (Crop::Centre, 19), (Crop::End, 37)] {
            let own = Grid::of_square((320, 240), 112, crop, 16, 2).expect("small");
            assert_eq!((own.place.left, own.place.scaled_width, own.columns, own.rows), (left, 149, 7, 7));
            for grid in [own, own.magnified(2)] {
                let (x, y) = grid.centre(3.0, 5.0);
                assert_eq!(grid.patch_at(x, y), 5 * 7 + 3);
                let (x, y) = grid.to_picture(x, y);
                let side = f64::from(grid.side);
                assert!((x - 3.5 * side).abs() < 1e-9 && (y - 5.5 * side).abs() < 1e-9, "{x},{y}");
            }
            assert_eq!(own.centre(2.0, 4.0), own.magnified(3).centre(2.0, 4.0));
            assert_eq!(own.patch_size(), own.magnified(2).patch_size());
        }
        assert!(matches!(Grid::of_square((320, 240), 112, Crop::End, 15, 2), Err(Error::DoesNotDivide { .. })));
        assert!(matches!(Grid::of_square((320, 240), 112, Crop::End, 0, 2), Err(Error::ZeroSize { .. })));
    }

    #[test]
    fn points_and_sizes_that_make_no_sense_are_refused() {
        let grid = Grid::new(320, 240, 224, 16, 2).expect("small");
        for (x, y) in [(320.0, 0.0), (0.0, 240.0), (-0.1, 5.0), (f64::NAN, 5.0), (f64::INFINITY, 0.0)] {
            let error = grid.anchored(x, y).expect_err("outside");
            assert!(error.to_string().contains("outside the picture, which is 320 x 240 pixels"), "{error}");
        }
        assert!(matches!(Grid::new(320, 240, 224, 0, 2), Err(Error::ZeroSize { what: "patch side" })));
        assert!(matches!(Grid::new(0, 240, 224, 16, 2), Err(Error::ZeroSize { .. })));
        assert!(matches!(Grid::new(16_000, 16, 224, 16, 2), Err(Error::TooLarge { .. })));
        assert!(matches!(Grid::new(320, 240, u32::MAX, 16, 2), Err(Error::TooLarge { .. })));
        assert!(matches!(Grid::new(320, 240, 3000, 16, 64), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn patches_hold_their_pixels_and_descriptors_have_length_one() {
        let frame = RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8 * 8, y as u8 * 8, 0]));
        let grid = Grid::new(32, 32, 32, 16, 2).expect("small");
        let frames = [&frame, &frame];
        let patches = grid.cut(&frames);
        assert_eq!(patches.len(), 4 * grid.patch_numbers());
        // Patch 3, second frame, row 2, column 1.
        let number = &patches[3 * grid.patch_numbers() + ((16 + 2) * 16 + 1) * 3..][..3];
        assert_eq!(number, [17.0 * 8.0 / 255.0, 18.0 * 8.0 / 255.0, 0.0]);
        let descriptors = grid.describe(&frames, mean_colour(std::slice::from_ref(&frame)));
        for descriptor in descriptors.chunks(grid.descriptor_size()) {
            let length = descriptor.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
    }
}
