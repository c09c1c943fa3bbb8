//! What needs an adapter: each kernel and operation against the reference and against formulas, and the engine.

mod approximated_layers;
mod approximations;
mod borrowed_device;
mod deformable_kernels;
mod embedding_kernels;
mod engine;
mod formulas;
mod kernels;
mod layers;
mod long;
mod loops;
mod match_blocks;
mod matrices;
mod performer;
mod picks;
mod products;
mod prototypes;
mod rotary;
mod sampling;
mod scores;
mod selections;
mod softmax_rows;
mod weights;
mod windows;
