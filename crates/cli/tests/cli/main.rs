//! The program as a user meets it.

mod attend;
mod bench;
mod busy;
mod commands;
mod compare;
mod given;
#[cfg(unix)]
mod interrupt;
mod kept;
mod networks;
mod other_networks;
mod picks;
mod probe;
mod program;
mod slides;
mod tune;
mod widths;
mod windows;
