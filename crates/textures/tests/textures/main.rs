//! Textures in and out against the host's way, by pixels.

mod drawing;
mod following;
mod heat;
mod host;
mod languages;
mod pictures;
mod refusals;
mod squares;

// The example that draws.
#[path = "../../../../examples/embed_render/offscreen.rs"]
mod offscreen;
#[path = "../../../../examples/embed_render/pipelines.rs"]
mod pipelines;
#[path = "../../../../examples/embed_render/scene.rs"]
mod scene;
