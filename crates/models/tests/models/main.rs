//! Checkpoints, and the networks in them.

mod attended;
mod ball;
mod checkpoint;
mod checkpoints;
mod deformable_checkpoints;
mod descriptions;
mod found_files;
mod found_names;
mod found_states;
mod full_size;
mod hostile_checkpoints;
mod neighbours;
mod networks;
mod plans;
mod probe;
mod processor_classes;
mod processors;
mod videomae;
