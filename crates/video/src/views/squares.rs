//! Squares of the frames that views still need; nothing else of a clip is kept.

use std::collections::{BTreeMap, BTreeSet};

use image::RgbImage;
use orthoformer::{Result, Tensor};

use super::crops::{Crop, Normalisation, cropped_picture, stacked};
use super::stream::View;
use super::{ViewSpec, Window};

/// A square of a frame.
struct Square {
    numbers: Tensor,
    picture: Option<RgbImage>,
}

/// Squares that are cut when their frame passes, shared between views, and dropped with the last view that needs them.
pub(super) struct Squares {
    spec: ViewSpec,
    normalisation: Normalisation,
    /// How many unfinished temporal views need a frame.
    needs: BTreeMap<usize, usize>,
    /// Of the decoded frames that are needed, in the order of the spatial views.
    held: BTreeMap<usize, Vec<Square>>,
    most_held: usize,
}

impl Squares {
    /// # Errors
    /// Those of [`ViewSpec::check`].
    pub fn new(spec: &ViewSpec) -> Result<Self> {
        spec.check()?;
        let normalisation = Normalisation::new(spec.mean, spec.std, spec.reversed_channels)?;
        Ok(Self { spec: *spec, normalisation, needs: BTreeMap::new(), held: BTreeMap::new(), most_held: 0 })
    }

    /// What views are made of.
    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    /// Frames in memory now.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Most frames that have been in memory at a time.
    pub fn most_held(&self) -> usize {
        self.most_held
    }

    /// Notes the frames of one more temporal view.
    pub fn need(&mut self, frames: &[usize]) {
        for index in distinct(frames) {
            *self.needs.entry(index).or_default() += 1;
        }
    }

    /// Notes that these temporal views alone are left.
    pub fn need_only<'v>(&mut self, views: impl IntoIterator<Item = &'v Vec<usize>>) {
        self.needs.clear();
        views.into_iter().for_each(|frames| self.need(frames));
        self.held.retain(|index, _| self.needs.contains_key(index));
    }

    /// Cuts the squares of a frame that a view needs and that are not there yet.
    pub fn pass(&mut self, index: usize, frame: &RgbImage) -> Result<()> {
        if !self.needs.contains_key(&index) || self.held.contains_key(&index) {
            return Ok(());
        }
        let crops = self.spec.views.crops().iter();
        let squares: Result<Vec<_>> = crops.map(|&crop| self.square(frame, crop)).collect();
        self.held.insert(index, squares?);
        self.most_held = self.most_held.max(self.held.len());
        Ok(())
    }

    fn square(&self, frame: &RgbImage, crop: Crop) -> Result<Square> {
        let framing = self.spec.framing();
        let picture = self.spec.pictures.then(|| cropped_picture(frame, framing, crop)).transpose()?;
        Ok(Square { numbers: self.normalisation.crop(frame, framing, crop)?, picture })
    }

    /// Puts a view of these frames together.
    pub fn view(&self, temporal: usize, spatial: usize, indices: &[usize], window: Option<Window>) -> Result<View> {
        let squares: Vec<&Square> = indices.iter().filter_map(|index| self.held.get(index)?.get(spatial)).collect();
        let pictures = squares.iter().filter_map(|square| square.picture.clone()).collect();
        let numbers: Vec<&Tensor> = squares.iter().map(|square| &square.numbers).collect();
        // Should a frame be missing against all expectation, the tensor's size tells.
        let clip = stacked(&numbers, indices.len(), self.spec.size)?;
        Ok(View { temporal: temporal as u32, spatial: spatial as u32, clip, indices: indices.to_vec(), pictures, window })
    }

    /// Drops what a temporal view that is complete was the last to need.
    pub fn release(&mut self, frames: &[usize]) {
        for index in distinct(frames) {
            let left = self.needs.get(&index).map_or(0, |needs| needs.saturating_sub(1));
            if left == 0 {
                self.needs.remove(&index);
                self.held.remove(&index);
            } else {
                self.needs.insert(index, left);
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.needs.clear();
        self.held.clear();
    }
}

/// Each index once.
fn distinct(indices: &[usize]) -> BTreeSet<usize> {
    indices.iter().copied().collect()
}
