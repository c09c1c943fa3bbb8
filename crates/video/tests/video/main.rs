//! Clips: decoded, shown to networks, followed.

mod clips;
mod hostile_clips;
mod tracking;
mod view_faults;
mod views;
