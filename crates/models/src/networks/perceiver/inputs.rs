//! Inputs made of clips, as the published networks make them.

use orthoformer::{Error, Result, Tensor};

use super::{Architecture, Pixels};

/// The inputs of a network that are made of clips `[B,3,T,H,W]`.
///
/// # Errors
/// [`Error::Argument`] for networks whose inputs cannot be made of clips; those of [`inputs_of`].
pub(super) fn of_clips(clips: &Tensor, architecture: &Architecture) -> Result<Tensor> {
    inputs_of(clips, pixels_of(architecture)?)
}

/// How a network's inputs are made of pixels.
///
/// # Errors
/// [`Error::Argument`] for inputs that are made of something else.
pub(super) fn pixels_of(architecture: &Architecture) -> Result<Pixels> {
    architecture.pixels().ok_or_else(|| not_of_clips(architecture))
}

/// Says what a network's inputs would have to be to be made of clips.
fn not_of_clips(architecture: &Architecture) -> Error {
    let ways =
        [Pixels::Picture, Pixels::Video].map(|pixels| format!("{} inputs of {} elements", pixels.inputs(), pixels.channels()));
    Error::Argument {
        what: "inputs of a Perceiver",
        given: format!("{} elements each", architecture.input_channels),
        expected: format!("{}, as the published networks make them of clips; `run` takes any, in a case", ways.join(" or ")),
    }
}

/// The inputs `[B,M,C]` that clips `[B,3,T,H,W]` make: the pixels of each square, by row, column and colour; the coordinates of its position, from -1 to 1, frame first;
/// the sines, then the cosines, of pi times each coordinate times each of its frequencies, from one to half the positions along it.
///
/// # Errors
/// [`Error::WrongShape`] for clips of another size.
fn inputs_of(clips: &Tensor, pixels: Pixels) -> Result<Tensor> {
    let [frames, height, width] = pixels.clip().map(|size| size as usize);
    let batch = match clips.shape() {
        &[batch, 3, f, h, w] if [f, h, w] == [frames, height, width] => batch,
        found => {
            let expected = format!("[clips, 3, {frames}, {height}, {width}]");
            return Err(Error::WrongShape { name: "clip".to_owned(), found: found.to_vec(), expected });
        }
    };
    let [_, side, _] = pixels.patch().map(|size| size as usize);
    let [rows, columns] = [height / side, width / side];
    let positions = positions(pixels, [frames, rows, columns]);
    let mut inputs = Vec::with_capacity(batch * (pixels.inputs() * pixels.channels()) as usize);
    for clip in clips.data().chunks((3 * frames * height * width).max(1)) {
        let mut positions = positions.iter();
        for (frame, row, column) in of_grid([frames, rows, columns]) {
            for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (row * side + y, column * side + x))) {
                let pixel = |colour: usize| clip[((colour * frames + frame) * height + y) * width + x];
                inputs.extend([pixel(0), pixel(1), pixel(2)]);
            }
            inputs.extend(positions.next().into_iter().flatten());
        }
    }
    Tensor::new(vec![batch, frames * rows * columns, pixels.channels() as usize], inputs)
}

/// All positions of a grid, in order.
fn of_grid([frames, rows, columns]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..frames * rows * columns).map(move |position| (position / (rows * columns), position / columns % rows, position % columns))
}

/// The features of every position.
fn positions(pixels: Pixels, grid: [usize; 3]) -> Vec<Vec<f32>> {
    // Frequencies end at half the positions along an axis of the picture; of a video along that of its squares.
    let bands = pixels.frequencies() as usize;
    let frequencies =
        |positions: usize| (0..bands).map(move |band| 1.0 + band as f64 * (positions as f64 / 2.0 - 1.0) / (bands - 1) as f64);
    let coordinate =
        |at: usize, positions: usize| if positions > 1 { 2.0 * at as f64 / (positions - 1) as f64 - 1.0 } else { -1.0 };
    let seen = 3 - pixels.coordinates() as usize;
    let features = |(frame, row, column): (usize, usize, usize)| {
        let at = [frame, row, column];
        let coordinates: Vec<(f64, usize)> = (seen..3).map(|axis| (coordinate(at[axis], grid[axis]), grid[axis])).collect();
        let waves = || {
            coordinates
                .iter()
                .flat_map(|&(at, positions)| frequencies(positions).map(move |band| std::f64::consts::PI * at * band))
        };
        let all = coordinates.iter().map(|(at, _)| *at).chain(waves().map(f64::sin)).chain(waves().map(f64::cos));
        all.map(|value| value as f32).collect()
    };
    of_grid(grid).map(features).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    /// Rows 0, 1, 57, 12345 and 50175 of what Hugging Face's `PerceiverImagePreprocessor` makes of the clip below.
    const ANSWERS: &[u8] = include_bytes!("../../../../../tests/network_edges/perceiver_inputs.safetensors");
    const ROWS: [usize; 5] = [0, 1, 57, 12_345, 50_175];

    #[test]
    fn inputs_are_those_of_the_published_code() {
        let file = Checkpoint::parse(std::path::Path::new("perceiver_inputs.safetensors"), ANSWERS.to_vec()).expect("shipped");
        for (name, pixels) in [("picture", Pixels::Picture), ("video", Pixels::Video)] {
            let [frames, height, width] = pixels.clip().map(|size| size as usize);
            let value = |at: usize| {
                let (colour, frame) = (at / (frames * height * width), at / (height * width) % frames);
                let (y, x) = (at / width % height, at % width);
                f32::from(((colour * 7 + frame * 5 + y * 3 + x) % 32) as u8) / 16.0 - 1.0
            };
            let values = (0..3 * frames * height * width).map(value).collect();
            let clip = Tensor::new(vec![1, 3, frames, height, width], values).expect("all of them");
            let found = inputs_of(&clip, pixels).expect("of its size");
            let width = pixels.channels() as usize;
            assert_eq!(found.shape(), [1, 50_176, width]);
            let expected = file.read(name).expect("there");
            for (row, expected) in ROWS.into_iter().zip(expected.data().chunks(width)) {
                for (column, (found, expected)) in found.data()[row * width..].iter().zip(expected).enumerate() {
                    // The published code has its frequencies, of up to 112 turns, in float32.
                    assert!((found - expected).abs() < 1e-4, "{name} {row} {column}: {found} {expected}");
                }
            }
        }
    }
}
