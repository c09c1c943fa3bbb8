//! Running the program in tests.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

/// The program in a pipe, where text may be as wide as it likes.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("orthoformer").expect("built");
    command.env_remove("COLUMNS").args(arguments);
    command
}

pub fn orthoformer(arguments: &[&str]) -> Assert {
    program(arguments).assert()
}

/// The program in a terminal of so many columns.
pub fn orthoformer_in(columns: usize, arguments: &[&str]) -> Assert {
    program(arguments).env("COLUMNS", columns.to_string()).assert()
}

pub fn json(assert: Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON and nothing else on stdout")
}

pub fn shipped(name: &str) -> String {
    support::shipped(name).display().to_string()
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

pub fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// The program on a machine without any adapter.
pub fn without_adapters(arguments: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("orthoformer").expect("built");
    command
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .env("WGPU_BACKEND", "vulkan");
    command.args(arguments).assert()
}
