//! Networks as plans, without checkpoints: against answers from elsewhere, against formulas, round the edges of sizes, and refused.

mod deformable;
mod deformable_layers;
mod files;
mod formulas;
mod motionformer;
mod perceiver;
mod swin;
mod videomae;
mod vjepa2;
