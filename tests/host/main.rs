//! What needs no device: shaders against the table of kernels, and in the languages of the backends; the documentation.

mod documentation;
mod languages;
mod layout;
mod shaders;
