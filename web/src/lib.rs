//! What the page calls: the library on the visitor's GPU. Everything that takes long is a promise; numbers go out as JSON, pictures as bytes.
#![cfg(target_arch = "wasm32")]
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

mod bench;
mod cases;
mod clips;
mod kernels;
mod lab;
mod panics;
mod tracked;

pub use clips::BallFrames;
pub use lab::Lab;
pub use panics::last_panic;
pub use tracked::Tracked;

use wasm_bindgen::JsError;

/// What a call from the page returns.
type Answer<T> = Result<T, JsError>;

/// JSON of something that the page shows.
fn json(value: &impl serde::Serialize) -> Answer<String> {
    Ok(serde_json::to_string(value)?)
}
