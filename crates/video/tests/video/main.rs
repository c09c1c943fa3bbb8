//! Clips: decoded, shown to networks, followed, drawn on.

mod clips;
mod drawing;
mod exports;
mod hostile_clips;
mod tracking;
mod view_faults;
mod views;
mod windows;
