//! Networks from published checkpoints: configuration, weights, forward.
//!
//! Which network a checkpoint holds, the names of its tensors tell. A [`Config`] comes from the checkpoint's own `cfg`, or a `config.json` beside it, where there is
//! one, else from the tensors' shapes, else from what the caller says ([`Known`]); what is still open is asked for by name. A [`Network`] keeps the weights on
//! the device, and a prepared plan for each number of clips and each kind of output that was asked for.
//!
//! The published code of Motionformer adds positions to tokens in several pieces, and resizes them where clips are not 224 pixels high. They do not depend on
//! the clip, so they are made once, on the host: [`positions`].
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

mod attend;
mod attention_rows;
pub mod ball;
mod cfg;
pub mod checkpoint;
mod config;
mod deformable;
mod describe;
mod described;
mod features;
mod forward;
mod given;
pub mod labels;
mod perceiver;
pub mod positions;
mod published;
mod seen;
mod shapes;
mod swin;
mod vit;
mod watch;
mod weights;

pub use attend::{AttendOptions, PointedPatch};
pub use config::{Config, Known, NOT_SAID, Preset, Protocol};
pub use describe::Cost;
pub use features::{ClipFeatures, Tokens, features, write_features};
pub use forward::{Network, Placed};
pub use watch::{Average, Classified, Seen, Watched, classify, watch};
pub use weights::{Inventory, check, weights};

/// What pictures of ImageNet are usually normalised by: what is taken off red, green and blue, and what they are divided by.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
