//! Checkpoints, and the networks in them.

mod attended;
mod ball;
mod checkpoint;
mod checkpoints;
mod deformable_checkpoints;
mod descriptions;
mod found_files;
mod found_names;
mod full_size;
mod hostile_checkpoints;
mod networks;
mod plans;
mod probe;
mod processors;
mod videomae;
