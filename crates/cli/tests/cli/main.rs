//! The program as a user meets it.

mod attend;
mod bench;
mod commands;
mod compare;
mod given;
mod kept;
#[cfg(unix)]
mod interrupt;
mod networks;
mod other_networks;
mod picks;
mod program;
mod slides;
mod tune;
mod widths;
