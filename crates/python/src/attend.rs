//! What a patch of a clip attends to in a network.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::PyArray1;
use numpy::PyArrayMethods as _;
use orthoformer::{Result, Tensor};
use orthoformer_models::{AttendOptions, PointedPatch};
use orthoformer_video::draw::overlay;
use orthoformer_video::track::{Sighting, Track};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::{array, pictures};
use super::failure::Failure;
use super::network::Loaded;
use super::waiting::interruptible;

/// Finds the patch, runs the network up to the block, and hands out numbers and pictures under the names of `orthoformer.Attention`.
pub fn attend<'py>(
    py: Python<'py>,
    loaded: Arc<Loaded>,
    clip: PathBuf,
    options: AttendOptions,
) -> std::result::Result<Bound<'py, PyDict>, Failure> {
    let work = move || {
        loaded.with_dependent(|_, model| {
            let mut found = PointedPatch::find(&clip, model.config(), options, |_, _| Ok(()))?;
            let track = found.attend(model)?;
            let weights = weights(&track)?;
            Ok((found, track, weights))
        })
    };
    let (found, track, weights) = interruptible(py, work)?;
    Ok(fields(py, &found, &track, weights)?)
}

/// The weights `[F, rows, columns]`.
fn weights(track: &Track) -> Result<Tensor> {
    let axes = vec![track.sightings.len(), track.grid.rows as usize, track.grid.columns as usize];
    Tensor::new(axes, track.sightings.iter().flat_map(|sighting| &sighting.weights).copied().collect())
}

fn fields<'py>(py: Python<'py>, found: &PointedPatch, track: &Track, weights: Tensor) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    let depth = track.grid.depth.max(1) as usize;
    let drawn: Vec<_> =
        found.pictures.iter().enumerate().map(|(index, picture)| overlay(picture, track, index / depth)).collect();
    let pairs = |of: fn(&Sighting) -> [f64; 2]| {
        let values = track.sightings.iter().flat_map(of).collect();
        PyArray1::from_vec(py, values).reshape([track.sightings.len(), 2])
    };
    let shares = track.sightings.iter().map(|sighting| sighting.temporal_weight.unwrap_or(f64::NAN)).collect();
    fields.set_item("weights", array(py, weights)?)?;
    fields.set_item("shares", PyArray1::from_vec(py, shares))?;
    fields.set_item("centroids", pairs(|sighting| sighting.centroid.into())?)?;
    fields.set_item("peaks", pairs(|sighting| [sighting.peak.0.into(), sighting.peak.1.into()])?)?;
    fields.set_item("by_construction", track.sightings.iter().map(|sighting| sighting.is_by_construction).collect::<Vec<_>>())?;
    fields.set_item("frames", &found.frames)?;
    fields.set_item("pictures", pictures(py, &found.pictures)?)?;
    fields.set_item("overlay", pictures(py, &drawn)?)?;
    fields.set_item("at", found.at)?;
    fields.set_item("frame", found.frame)?;
    fields.set_item("patch", found.patch)?;
    fields.set_item("step", found.step)?;
    fields.set_item("layer", found.block)?;
    fields.set_item("size", (found.source.width, found.source.height))?;
    fields.set_item("notes", &found.notes)?;
    Ok(fields)
}
