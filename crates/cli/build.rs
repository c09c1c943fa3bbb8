//! Tells the program which commit was checked out when it was built.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    // What comes from a registry is no repository, and has a file that says it.
    let packaged = || {
        let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
        let commit = text.split_once("\"sha1\": \"")?.1.split('"').next()?;
        Some(commit.get(..12)?.to_owned())
    };
    if let Some(commit) = packaged().or_else(|| git(&["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo:rustc-env=ORTHOFORMER_COMMIT={commit}");
    }
}

/// The first line of what git says, if there are git and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
