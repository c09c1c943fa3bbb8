//! What needs an adapter: each kernel, operation and network against the reference and against formulas, and the engine.

mod approximated_layers;
mod approximations;
mod deformable;
mod deformable_kernels;
mod deformable_networks;
mod engine;
mod formulas;
mod guest;
mod kernels;
mod layers;
mod long;
mod loops;
mod match_blocks;
mod matrices;
mod network_files;
mod networks;
mod perceiver;
mod performer;
mod picks;
mod products;
mod prototypes;
mod scores;
mod selections;
mod swin;
mod weights;
mod windows;

// The example that draws, for the tests of guests.
#[path = "../../examples/embed_render/offscreen.rs"]
mod offscreen;
#[path = "../../examples/embed_render/pipelines.rs"]
mod pipelines;
#[path = "../../examples/embed_render/scene.rs"]
mod scene;
