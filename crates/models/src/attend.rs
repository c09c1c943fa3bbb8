//! What a patch of a clip attends to in a network.
//!
//! For each frame of patches of the view there are the weights of its patches, and the frame's share: with trajectory attention the trajectory itself. What
//! they are with other attentions [`crate::attribution`] says. A Perceiver's patches attend to nothing: of the latents that attend to them one is shown.

use std::path::Path;

use image::{RgbImage, imageops};
use orthoformer::{Error, Result, Tensor};
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track};
use orthoformer_video::views::{Crop, Framing, Source, View, ViewSpec, ViewStream, Views, crop_geometry};

use crate::attribution::{self, Attribution, FrameAttention, Patch, Rollout};
use crate::config::Config;
use crate::model::Model;
use crate::networks::Network;

/// Pictures are made at least about so large to draw on, by a whole number.
const DRAWN_SIZE: u32 = 224;

/// Which patch's attention is looked at, and where in the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttendOptions {
    /// A point of the patch, pixels of the clip's picture; the centre if `None`.
    pub at: Option<(f64, f64)>,
    /// The frame of the clip that the point is in, from 0.
    pub frame: usize,
    /// The block, from 0; the last one if `None`. A Perceiver's inputs are attended to once, ahead of all layers, whichever is asked for.
    pub block: Option<u32>,
    /// The attention head, from 0; the mean of all if `None`.
    pub head: Option<u32>,
    /// Whose attention is rolled out from the block to the first; only the patch's in the block if `None`.
    pub rollout: Option<Rollout>,
}

/// A patch of a clip, in the view that a network is to see: the first temporal one, and of the squares that contain the point that whose middle is nearest.
#[derive(Debug)]
pub struct PointedPatch {
    /// Size, length and frame rate of the clip.
    pub source: Source,
    /// The square of its frames that the network sees.
    pub crop: Crop,
    /// The network's patches, over [`PointedPatch::pictures`].
    pub grid: Grid,
    /// What the network sees, as pictures to draw on.
    pub pictures: Vec<RgbImage>,
    /// Their numbers in the clip.
    pub frames: Vec<usize>,
    /// The point, pixels of the clip's picture.
    pub at: (f64, f64),
    /// The frame that the point is taken to be in: of those above the nearest to the one that was asked for.
    pub frame: usize,
    /// The frame of patches that it is part of.
    pub step: usize,
    /// Column and row of the patch.
    pub patch: (u32, u32),
    /// The block, from 0. Of a Swin its stage says how large patches are.
    pub block: u32,
    /// What people should know, in whole sentences.
    pub notes: Vec<String>,
    options: AttendOptions,
    clip: Tensor,
}

impl AttendOptions {
    /// The block that is asked for, if a network has that and the rest.
    fn check(&self, network: &dyn Network) -> Result<u32> {
        let block = self.block.unwrap_or(network.depth().saturating_sub(1));
        let found = network.check_attribution(block)?;
        if let Some(rollout) = self.rollout {
            rollout.check(network)?;
            if let Some(head) = self.head {
                let expected = "the mean of all heads, for a rollout".to_owned();
                return Err(Error::Argument { what: "head", given: head.to_string(), expected });
            }
        }
        let heads = network.heads_of(block);
        match self.head {
            Some(head) if head >= heads => Err(Error::OutOfRange { what: "head", index: head.into(), count: heads.into() }),
            _ => Ok(found),
        }
    }
}

impl PointedPatch {
    /// Decodes the view and finds the patch in it. Of the clip nothing else is kept. `progress` is told after each frame how many are decoded, and how many have to be; its error
    /// ends the work.
    ///
    /// # Errors
    /// [`Error::Argument`] for networks that cannot be looked into and points that the network does not see, [`Error::OutOfRange`] for layers, heads and frames that
    /// there are not, [`Error::DoesNotDivide`] for clips that are not whole patches of the block, [`Error::PointOutside`], and those of [`ViewStream`] and `progress`.
    pub fn find(
        path: &Path,
        config: &Config,
        options: AttendOptions,
        mut progress: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<Self> {
        let block = options.check(&*config.network)?;
        let [size_seen, side, depth] = attribution::sides(&*config.network, block)?;
        let squares = Views { temporal: 1, spatial: 3 };
        let spec = ViewSpec { pictures: true, ..config.views(squares) };
        let framing = Framing { size: size_seen, ..spec.framing() };
        let mut stream = ViewStream::open(path, &spec)?;
        let source = stream.source();
        if options.frame >= source.frames {
            return Err(Error::OutOfRange { what: "frame", index: options.frame as u64, count: source.frames as u64 });
        }
        let size = (source.width, source.height);
        let at = options.at.unwrap_or((f64::from(size.0) / 2.0, f64::from(size.1) / 2.0));
        let crop = square_with(at, size, framing)?;
        let grid = Grid::of_square(size, framing, crop, side, depth)?;
        while stream.decode_towards()? {
            let (done, all) = stream.progress();
            progress(done, all)?;
        }
        let is_wanted =
            |view: &Result<View>| view.as_ref().map_or(true, |view| squares.crops().get(view.spatial as usize) == Some(&crop));
        let view = stream.find(is_wanted).transpose()?.ok_or(Error::ZeroSize { what: "views" })?;
        let View { clip, indices: frames, pictures, .. } = view;
        let distances = frames.iter().map(|frame| frame.abs_diff(options.frame)).enumerate();
        let nearest = distances.min_by_key(|(_, distance)| *distance).map_or(0, |(index, _)| index);
        let patch = grid.patch_at(at.0, at.1) as u32;
        let times = (DRAWN_SIZE / grid.width).max(1);
        let patch = (patch % grid.columns, patch / grid.columns);
        let mut found = Self {
            source,
            at,
            crop,
            grid: grid.magnified(times),
            pictures: pictures.into_iter().map(|picture| magnified(picture, times)).collect(),
            frame: frames.get(nearest).copied().unwrap_or(0),
            frames,
            step: nearest / grid.depth as usize,
            patch,
            block,
            notes: stream.notes().to_vec(),
            options,
            clip,
        };
        found.note_frame();
        Ok(found)
    }

    /// Says so where the frame that was asked for comes after those that the network sees.
    fn note_frame(&mut self) {
        let (asked, last) = (self.options.frame, self.frames.last().copied().unwrap_or(0));
        if asked > last {
            self.notes.push(format!("Frame {asked} is after all that the network sees: the point is looked up in frame {last}."));
        }
    }

    /// Frames a second of the pictures, where known.
    pub fn frame_rate(&self) -> Option<f64> {
        let mut distinct = self.frames.clone();
        distinct.dedup();
        let span = distinct.last()?.checked_sub(*distinct.first()?).filter(|&span| span > 0)?;
        Some(self.source.fps? * (distinct.len() - 1) as f64 / span as f64)
    }

    /// Runs the network up to the block, and follows the patch by what it attends to there; rolled out, once for each block. A note says what people should know
    /// about it.
    ///
    /// # Errors
    /// Those of [`Model::run`]; [`Error::WrongNumber`] if the network makes values that are not finite.
    pub fn attend(&mut self, model: &Model<'_>) -> Result<Track> {
        let (frames, [rows, columns]) = (self.frames.len(), [self.grid.rows, self.grid.columns].map(|count| count as usize));
        let patch = Patch {
            clip: Tensor::new([&[1], self.clip.shape()].concat(), self.clip.data().to_vec())?,
            block: self.block,
            head: self.options.head,
            grid: [frames / self.grid.depth.max(1) as usize, rows, columns],
            at: [self.step, self.patch.1 as usize, self.patch.0 as usize],
        };
        let Attribution { frames, note } = match self.options.rollout {
            Some(rollout) => rollout.attribution(patch, model)?,
            None => model.config().network.attribution(&patch, model)?,
        };
        self.notes.extend(note.filter(|note| !self.notes.contains(note)));
        let of_step = |(step, frame): (usize, FrameAttention)| Sighting {
            temporal_weight: Some(frame.share.into()),
            is_by_construction: frame.is_by_construction,
            ..Sighting::new(&self.grid, &frame.weights, &self.token(step, &frame.weights))
        };
        let sightings: Vec<Sighting> = frames.into_iter().enumerate().map(of_step).collect();
        Ok(Track {
            grid: self.grid,
            point: self.at,
            query: self.patch,
            // The class token is no patch of any frame.
            query_step: if self.options.rollout == Some(Rollout::Class) { sightings.len() } else { self.step },
            sightings,
            device_bytes: model.device_bytes(),
        })
    }

    /// What the patch looks like in a frame of patches: the mean of that frame's patches by their weights.
    fn token(&self, step: usize, weights: &[f32]) -> Vec<f32> {
        let depth = self.grid.depth as usize;
        let frames: Vec<&RgbImage> = self.pictures.iter().skip(step * depth).take(depth).collect();
        let mut token = vec![0.0; self.grid.patch_numbers()];
        for (patch, weight) in self.grid.cut(&frames).chunks(token.len().max(1)).zip(weights) {
            token.iter_mut().zip(patch).for_each(|(sum, value)| *sum += weight * value);
        }
        token
    }
}

fn magnified(picture: RgbImage, times: u32) -> RgbImage {
    match times {
        1 => picture,
        _ => imageops::resize(&picture, picture.width() * times, picture.height() * times, imageops::FilterType::Triangle),
    }
}

/// Of the three squares that a network can see of a frame, the one that contains the point and whose middle is nearest to it.
fn square_with((x, y): (f64, f64), (width, height): (u32, u32), framing: Framing) -> Result<Crop> {
    if !(x >= 0.0 && y >= 0.0 && x < f64::from(width) && y < f64::from(height)) {
        return Err(Error::PointOutside { x, y, width, height });
    }
    let side = f64::from(framing.size);
    let mut is_upright = false;
    let mut nearest: Option<(f64, Crop)> = None;
    let mut seen = Vec::new();
    // Of equals the first is taken: in a frame as high as wide they are all the same.
    for crop in [Crop::Centre, Crop::Start, Crop::End] {
        let cut = crop_geometry(width, height, framing, crop)?;
        is_upright = cut.is_upright();
        let scale = (f64::from(width) / f64::from(cut.scaled_width), f64::from(height) / f64::from(cut.scaled_height));
        let (column, row) = (x / scale.0 - f64::from(cut.left), y / scale.1 - f64::from(cut.top));
        let distance = (column - side / 2.0).hypot(row - side / 2.0);
        let is_inside = (0.0..side).contains(&column) && (0.0..side).contains(&row);
        if is_inside && nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, crop));
        }
        let (first, scale) = if is_upright { (cut.top, scale.1) } else { (cut.left, scale.0) };
        let (from, to) = (f64::from(first) * scale, (f64::from(first) + side) * scale);
        seen.push(format!("{from:.0} to {to:.0} ({})", crop.name(is_upright)));
    }
    let along = if is_upright { "rows" } else { "columns" };
    let expected = || format!("a point in one of the squares that the network sees of a frame: {along} {}", seen.join(", "));
    nearest.map(|(_, crop)| crop).ok_or_else(|| Error::Argument {
        what: "point",
        given: format!("{x},{y}"),
        expected: expected(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_square_with_the_nearest_middle_is_seen() {
        let square = |x, y| square_with((x, y), (320, 240), 112.into()).expect("every point is in some square");
        assert_eq!(
            [3.0, 119.0, 141.0, 160.0, 200.0, 319.0].map(|x| square(x, 100.0)),
            [Crop::Start, Crop::Start, Crop::Centre, Crop::Centre, Crop::End, Crop::End]
        );
        assert_eq!(square_with((10.0, 300.0), (240, 320), 112.into()).expect("inside"), Crop::End);
        assert_eq!(square_with((2.0, 2.0), (64, 64), 224.into()).expect("inside"), Crop::Centre);
        assert!(matches!(square_with((320.0, 0.0), (320, 240), 112.into()), Err(Error::PointOutside { .. })));
        assert!(matches!(square_with((f64::NAN, 0.0), (320, 240), 112.into()), Err(Error::PointOutside { .. })));
    }

    #[test]
    fn a_point_between_the_squares_of_a_wide_frame_is_refused() {
        let error = square_with((150.0, 50.0), (500, 100), 100.into()).expect_err("seen by none");
        let seen = "columns 200 to 300 (centre), 0 to 100 (left), 400 to 500 (right)";
        assert!(error.to_string().contains(seen), "{error}");
        assert_eq!(square_with((99.0, 50.0), (500, 100), 100.into()).expect("inside"), Crop::Start);
    }
}
