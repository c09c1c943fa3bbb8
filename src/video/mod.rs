//! Clips: decoding, cutting into space-time patches, following them, drawing attention over them.
//!
//! Frames from anywhere are enough for all but [`Clip`] and what is written to files (feature `frames`); decoding and writing need the
//! feature `video`.

pub mod ball;
pub mod ball_motion;
#[cfg(feature = "video")]
mod clip;
pub mod draw;
#[cfg(feature = "video")]
pub mod output;
mod paint;
pub mod patches;
#[cfg(feature = "video")]
mod sheet;
mod summed;
pub mod track;
pub mod views;

#[cfg(feature = "video")]
pub use clip::{Clip, is_shielded};

/// Longest side of a picture that is decoded, pixels: a hostile header must not make us allocate without bound.
pub const MAX_SIDE: u32 = 16_384;
