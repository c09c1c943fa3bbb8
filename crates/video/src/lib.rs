//! Clips: decoding, cutting into space-time patches, following them, drawing attention over them.
//!
//! Frames from anywhere are enough for all but what the feature `files` (default) brings: `Clip`, which decodes, `views::stream`, and what is written.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

pub mod ball;
pub mod ball_motion;
#[cfg(feature = "files")]
mod clip;
#[cfg(feature = "files")]
mod colour_bar;
pub mod draw;
#[cfg(feature = "files")]
pub mod export;
#[cfg(feature = "files")]
pub mod files;
#[cfg(feature = "files")]
mod mp4_encoder;
#[cfg(feature = "files")]
pub mod output;
mod paint;
pub mod patches;
#[cfg(feature = "files")]
mod sheet;
mod summed;
#[cfg(feature = "files")]
mod text;
pub mod track;
pub mod views;

#[cfg(feature = "files")]
pub use clip::{Clip, clips_of, is_camera, is_shielded};

/// Longest side of a picture that is decoded, pixels: a hostile header must not make us allocate without bound.
pub const MAX_SIDE: u32 = 16_384;

/// What becomes of a clip that is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    /// It is refused: half a clip is not a clip.
    #[default]
    Refused,
    /// What can be decoded is shown, and a note says what cannot.
    LeftOut,
}
