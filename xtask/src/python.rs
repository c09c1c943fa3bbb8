//! `cargo xtask python`: the package as people install it, with everything that it is compared with.

use std::process::Command;

use super::{Outcome, root, run, target};

/// What the tests compare with, or need, beyond the package. Without it they skip.
const COMPARED: [&str; 5] = ["pytest", "torch", "torchvision", "transformers", "ray[data]"];

/// Installs the package into an environment of its own, as a wheel built for release, and runs its tests: those against PyTorch, transformers and
/// torchvision, and those on a Ray cluster, too. The environment takes some gigabytes.
pub fn python(arguments: &[String]) -> Outcome {
    if let [argument, ..] = arguments {
        return Err(format!("unknown argument {argument:?}: `python` takes none"));
    }
    let (package, environment) = (root().join("crates/python"), target().join("python"));
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let system = if cfg!(windows) { "python" } else { "python3" };
    if !python.exists() {
        run(Command::new(system).args(["-m", "venv"]).arg(&environment))?;
    }
    let install = |what: &[&str]| run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(what).arg(&package));
    install(&COMPARED)?;
    // Of the same version it would stay as it was.
    install(&["--force-reinstall", "--no-deps"])?;
    run(Command::new(&python).args(["-m", "pytest", "-rs"]).current_dir(&package).env_remove("PYTHONPATH"))
}
