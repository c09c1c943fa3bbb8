//! Textures in and out of orthoformer, recorded into an application's own command encoder: nothing is copied through the host.
//!
//! ```text
//! Picture ── Scaler ──> scaled frames ── Describer ──> keys, values ── follow::Stream ──> attention ── Heat ──> texture, render target
//!        └── SquareInput ──> input of a network
//! ```
//!
//! Results are those of `orthoformer-video` on the host: scaled pixels to a step of 8 bits, all else to rounding.
//!
//! [`attention_overlay`] is all of it for one point of one picture; the repository's README has it in ten lines.
// What a caller can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

/// The program of the repository's README, which is compiled with the documentation's examples.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

mod describer;
mod heat;
mod overlay;
mod picture;
mod program;
mod scaler;
mod square;

pub use describer::Describer;
pub use heat::{Heat, HeatTarget};
#[cfg(not(target_arch = "wasm32"))]
pub use overlay::attention_overlay;
pub use overlay::{Overlay, OverlayOptions};
pub use picture::{Picture, YuvColours, YuvMatrix};
pub use scaler::Scaler;
pub use square::SquareInput;
