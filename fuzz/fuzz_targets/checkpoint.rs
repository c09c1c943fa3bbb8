//! Whatever the bytes: a checkpoint whose tensors can be read, or an error. Never a panic, nor much time or memory.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use orthoformer_models::{Config, Overrides, check};
use orthoformer_models::checkpoint::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let Ok(checkpoint) = Checkpoint::parse(Path::new("fuzzed"), bytes.to_vec()) else { return };
    let (_, _) = (checkpoint.config(), checkpoint.metadata());
    for (name, info) in checkpoint.tensors() {
        match checkpoint.read(name) {
            Ok(tensor) => assert!(info.element.is_float() && tensor.shape() == info.shape && tensor.data().len() == info.count()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    // What the network would be, and whether its tensors fit.
    if let Ok(config) = Config::of(&checkpoint, &Overrides::default()) {
        let _ = check(&checkpoint, &config);
    }
});
