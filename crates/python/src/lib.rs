//! The extension module `orthoformer._native`: arrays, paths and names in, arrays and numbers out. What people call is in `python/orthoformer`.
//!
//! Work runs in threads of its own. The calling thread waits without the interpreter's lock, and listens for Ctrl-C.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

mod approximation;
mod arrays;
mod attend;
mod engine;
mod failure;
mod network;
mod operations;
mod waiting;
mod watch;

use pyo3::prelude::*;

/// Everything that Python sees.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    silence_shielded_panics();
    module.add("__version__", orthoformer::VERSION)?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<network::Network>()?;
    module.add_class::<watch::Watch>()?;
    module.add_class::<approximation::Orthoformer>()?;
    module.add_class::<approximation::Nystrom>()?;
    module.add_class::<approximation::Performer>()?;
    module.add_function(wrap_pyfunction!(engine::devices, module)?)?;
    module.add_function(wrap_pyfunction!(network::load, module)?)?;
    module.add_function(wrap_pyfunction!(watch::clips_of, module)?)?;
    module.add_function(wrap_pyfunction!(operations::trajectory_attention, module)?)?;
    module.add_function(wrap_pyfunction!(operations::attention, module)?)?;
    module.add_function(wrap_pyfunction!(operations::select_prototypes, module)?)
}

/// Panics of third-party decoders become errors of our own; their message would only confuse.
fn silence_shielded_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !orthoformer_video::is_shielded() {
            usual(info);
        }
    }));
}
