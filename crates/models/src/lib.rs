//! Networks from published checkpoints: configuration, weights, forward.
//!
//! The names of a checkpoint's tensors say which network it holds. A [`Config`] comes from the checkpoint's own `cfg`, or a `config.json` beside it, where
//! there is one, else from the tensors' shapes, else from what the caller says ([`Overrides`]). What is still unspecified is asked for by name. A [`Model`] keeps
//! the weights on the device, and a prepared plan for each number of clips and each kind of output that was asked for.
//!
//! Each network is a folder of [`networks`], behind the trait [`Network`]: structure, names of tensors, plan, and what its attention says about a patch.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

pub mod checkpoint;

mod config;
mod hf_config;
mod processor;

pub mod networks;

mod describe;
mod model;
mod weights;

mod streams;
mod watch;

mod classify;
mod feature_files;
mod features;
mod windows;

mod attend;
pub mod attribution;

mod digest;
pub mod probe;

pub mod ball;
pub mod labels;

pub use attend::{AttendOptions, PointedPatch};
pub use attribution::Rollout;
pub use classify::{Average, Classified, classify};
pub use config::{Config, NOT_SAID, Overrides, Protocol};
pub use describe::Cost;
pub use feature_files::FeatureFormat;
pub use features::{ClipFeatures, Tokens, features};
pub use model::{Model, Placed};
pub use networks::motionformer::Preset;
pub use networks::{Features, Network, NetworkOutputs, NetworkSpec};
pub use watch::{Observer, Progress, Seen, Watched, watch};
pub use weights::{Inventory, check, weights};
pub use windows::{ClassifiedWindow, Span, WindowProgress, classify_windows};

/// The program of the page on embedding, which is compiled with the examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
mod embedding {}

/// What pictures of ImageNet are usually normalised by: what is taken off red, green and blue, and what they are divided by.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
