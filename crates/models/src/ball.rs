//! The network that ships with the crate: it names the motion of a ball ([`orthoformer_video::ball_motion`] renders such clips).
//!
//! Small enough for a demonstration, and trained with exact attention, so that it shows what approximations do to answers.

use std::path::Path;

use orthoformer::Result;
use orthoformer::ops::Approximation;
use orthoformer::plan::Element;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides};
use crate::labels;
use crate::model::{Model, Placed};

/// Weights as float16, and the configuration.
const WEIGHTS: &[u8] = include_bytes!("../assets/ball.safetensors");
/// Names of the classes.
const CLASSES: &str = include_str!("../assets/ball_classes.json");
/// How many classes there are.
const COUNT: u32 = 8;

/// The checkpoint.
///
/// # Errors
/// Those of [`Checkpoint::parse`], which say that the crate was built wrong.
pub fn checkpoint() -> Result<Checkpoint> {
    Checkpoint::parse(Path::new("assets/ball.safetensors"), WEIGHTS.to_vec())
}

/// Names of the classes, in order.
///
/// # Errors
/// Those of [`labels::parse`], which say that the crate was built wrong.
pub fn labels() -> Result<Vec<String>> {
    labels::parse(Path::new("assets/ball_classes.json"), CLASSES, COUNT)
}

/// The network, with trajectory tokens computed like this.
///
/// # Errors
/// Those of [`Config::of`] and [`Model::new`].
pub fn model(placed: Placed<'_>, approximation: Approximation) -> Result<Model<'_>> {
    let checkpoint = checkpoint()?;
    let config = Config::of(&checkpoint, &Overrides { approximation: Some(approximation), ..Overrides::default() })?;
    Model::new(placed, checkpoint, config, Element::F32)
}
