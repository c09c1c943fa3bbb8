//! How pictures are turned before they are shown: the display matrix of a track, as phones write it.

use image::{RgbImage, imageops};

/// One of the eight ways to turn and mirror a picture by its sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Columns become rows; before the rest.
    transposed: bool,
    /// Left becomes right.
    mirrored: bool,
    /// Top becomes bottom.
    upended: bool,
}

/// A display matrix `[a, b, u, c, d, v, x, y, w]`: a point goes to `(a x + c y, b x + d y)`, in parts of 65536.
pub(super) type DisplayMatrix = [i32; 9];

impl Turn {
    /// What a track's matrix, then the movie's, make of pictures; `None` for other angles, and for perspective. Scales do not count, like the shape
    /// of pixels.
    pub fn of(track: &DisplayMatrix, movie: &DisplayMatrix) -> Option<Self> {
        let [track, movie] = [track, movie].map(|matrix| matrix.map(i128::from));
        let is_nothing = |matrix: &[i128; 9]| [0, 1, 3, 4].iter().all(|&index| matrix[index] == 0);
        if [&track, &movie].iter().any(|matrix| matrix[2] != 0 || matrix[5] != 0) {
            return None;
        }
        let [a, b, c, d] = match (is_nothing(&track), is_nothing(&movie)) {
            // Some writers leave the matrix empty.
            (true, true) => return Some(Self::default()),
            (true, false) => [movie[0], movie[1], movie[3], movie[4]],
            (false, true) => [track[0], track[1], track[3], track[4]],
            (false, false) => [(0, 0), (0, 1), (3, 0), (3, 1)]
                .map(|(row, column)| (track[row] * movie[column] + track[row + 1] * movie[column + 3]) >> 16),
        };
        // A cosine that is not quite zero is one.
        let is_less = |small: i128, large: i128| small.unsigned_abs() <= large.unsigned_abs() / 256;
        if a != 0 && d != 0 && is_less(b, a) && is_less(c, d) {
            return Some(Self { transposed: false, mirrored: a < 0, upended: d < 0 });
        }
        let is_transposed = b != 0 && c != 0 && is_less(a, b) && is_less(d, c);
        is_transposed.then_some(Self { transposed: true, mirrored: c < 0, upended: b < 0 })
    }

    /// The picture as it is shown.
    pub fn apply(self, picture: RgbImage) -> RgbImage {
        let Self { transposed, mirrored, upended } = self;
        match (transposed, mirrored, upended) {
            (false, false, false) => picture,
            (false, true, false) => imageops::flip_horizontal(&picture),
            (false, false, true) => imageops::flip_vertical(&picture),
            (false, true, true) => imageops::rotate180(&picture),
            (true, true, false) => imageops::rotate90(&picture),
            (true, false, true) => imageops::rotate270(&picture),
            (true, false, false) => imageops::flip_horizontal(&imageops::rotate90(&picture)),
            (true, true, true) => imageops::flip_vertical(&imageops::rotate90(&picture)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;
    const PLAIN: DisplayMatrix = [ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30];

    fn matrix([a, b, c, d]: [i32; 4]) -> DisplayMatrix {
        [a, b, 0, c, d, 0, 5, 7, 1 << 30]
    }

    /// Where each pixel of a 3 x 2 picture goes by the definition, moved back to the origin.
    fn by_definition(picture: &RgbImage, [a, b, c, d]: [i32; 4]) -> RgbImage {
        let place = |x: u32, y: u32| {
            let (x, y) = (x as i32, y as i32);
            (a.signum() * x + c.signum() * y, b.signum() * x + d.signum() * y)
        };
        let all: Vec<_> = picture.enumerate_pixels().map(|(x, y, pixel)| (place(x, y), *pixel)).collect();
        let left = all.iter().map(|((x, _), _)| *x).min().expect("pixels");
        let top = all.iter().map(|((_, y), _)| *y).min().expect("pixels");
        let (width, height) = if a == 0 { (2, 3) } else { (3, 2) };
        let mut shown = RgbImage::new(width, height);
        all.iter().for_each(|&((x, y), pixel)| shown.put_pixel((x - left) as u32, (y - top) as u32, pixel));
        shown
    }

    #[test]
    fn all_eight_ways_are_honoured() {
        let picture = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 9]));
        for first in [-ONE, ONE] {
            for second in [-ONE, ONE] {
                for parts in [[first, 0, 0, second], [0, first, second, 0]] {
                    let turn = Turn::of(&matrix(parts), &PLAIN).expect("by right angles");
                    assert_eq!(turn.apply(picture.clone()), by_definition(&picture, parts), "{parts:?}");
                    // The movie's own counts as much.
                    assert_eq!(Turn::of(&PLAIN, &matrix(parts)), Some(turn));
                }
            }
        }
        assert_eq!(Turn::of(&[0; 9], &[0; 9]), Some(Turn::default()));
        let half = matrix([-ONE, 0, 0, -ONE]);
        assert_eq!(Turn::of(&half, &half), Some(Turn::default()), "there and back");
        assert_eq!(Turn::of(&matrix([-ONE, 3, -3, -ONE]), &PLAIN), Turn::of(&half, &PLAIN));
        assert_eq!(Turn::of(&matrix([2 * ONE, 0, 0, ONE]), &PLAIN), Some(Turn::default()));
    }

    #[test]
    fn other_angles_are_none_of_them() {
        for parts in [[46_341, 46_341, -46_341, 46_341], [ONE, ONE, 0, ONE], [ONE, 0, 0, 0], [0, ONE, 0, 0]] {
            assert_eq!(Turn::of(&matrix(parts), &PLAIN), None, "{parts:?}");
        }
        let mut perspective = PLAIN;
        perspective[2] = 3;
        assert_eq!(Turn::of(&perspective, &PLAIN), None);
        assert_eq!(Turn::of(&[i32::MIN; 9], &[i32::MIN; 9]), None);
        let largest = matrix([i32::MIN, 0, 0, i32::MIN]);
        assert_eq!(Turn::of(&largest, &largest), Some(Turn::default()));
    }
}
