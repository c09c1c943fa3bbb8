//! Mean colours of rectangles in constant time, from a summed-area table.

use std::ops::Range;

use image::RgbImage;

/// Sums of colours over all rectangles that start at the corner, for the mean of some frames.
pub(super) struct SummedColours {
    width: usize,
    height: usize,
    /// `[height + 1, width + 1, 3]`.
    sums: Vec<u64>,
    frames: u64,
}

impl SummedColours {
    /// Adds up frames of the same size.
    pub fn of(frames: &[&RgbImage]) -> Self {
        let (width, height) = frames.first().map_or((0, 0), |frame| (frame.width() as usize, frame.height() as usize));
        let stride = (width + 1) * 3;
        let mut sums = vec![0u64; stride * (height + 1)];
        for y in 0..height {
            let mut row = [0u64; 3];
            for x in 0..width {
                for (channel, total) in row.iter_mut().enumerate() {
                    let value = |frame: &&RgbImage| u64::from(frame.as_raw()[(y * width + x) * 3 + channel]);
                    *total += frames.iter().map(value).sum::<u64>();
                    let at = (y + 1) * stride + (x + 1) * 3 + channel;
                    sums[at] = sums[at - stride] + *total;
                }
            }
        }
        Self { width, height, sums, frames: frames.len() as u64 }
    }

    /// Mean colour of the part of a rectangle that is inside, or of the pixels nearest to it; each channel 0 to 1.
    pub fn mean(&self, columns: Range<i32>, rows: Range<i32>) -> [f32; 3] {
        let ((left, right), (top, bottom)) = (inside(columns, self.width), inside(rows, self.height));
        let count = ((right - left) * (bottom - top)) as u64 * self.frames;
        let sum = |y: usize, x: usize, channel: usize| self.sums[(y * (self.width + 1) + x) * 3 + channel];
        [0, 1, 2].map(|channel| {
            let total =
                sum(bottom, right, channel) + sum(top, left, channel) - sum(top, right, channel) - sum(bottom, left, channel);
            (total as f64 / (count.max(1) as f64 * 255.0)) as f32
        })
    }
}

/// The part of a range within `0 .. length`, at least one wide.
fn inside(range: Range<i32>, length: usize) -> (usize, usize) {
    let start = (range.start.max(0) as usize).min(length.saturating_sub(1));
    let end = (range.end.max(0) as usize).min(length);
    (start, end.max((start + 1).min(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn means_are_those_of_the_pixels() {
        let frame = RgbImage::from_fn(5, 4, |x, y| Rgb([(x * 10 + y) as u8, 255, 0]));
        let summed = SummedColours::of(&[&frame, &frame]);
        let close = |found: [f32; 3], red: f32| (found[0] * 255.0 - red).abs() < 1e-4 && found[1] == 1.0 && found[2] == 0.0;
        assert!(close(summed.mean(0..5, 0..4), 21.5));
        assert!(close(summed.mean(2..3, 3..4), 23.0));
        assert!(close(summed.mean(-7..1, -7..1), 0.0), "clipped to the corner pixel");
        assert!(close(summed.mean(9..12, 9..12), 43.0), "outside: the nearest pixel");
    }
}
