//! Clips: decoded, shown to networks, followed, drawn on.

mod clips;
mod damaged_clips;
mod drawing;
mod exports;
mod ffmpeg_clips;
mod filters;
mod hostile_clips;
mod real_clips;
mod tracking;
mod view_faults;
mod views;
mod windows;
