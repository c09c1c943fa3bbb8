//! `cargo xtask test`: everything that has to pass, with nothing to install by hand.

mod fuzz;
mod soak;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let rest: Vec<String> = std::env::args().skip(2).collect();
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("fuzz") => fuzz::fuzz(&rest),
        Some("soak") => soak::soak(&rest),
        other => Err(format!("unknown task {:?}; there is: cargo xtask test, fuzz, soak", other.unwrap_or(""))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Formatting, lints, docs, every test, and licences where the tool for them is installed.
fn test() -> Outcome {
    make_sure_of_a_vulkan_driver()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    // What an embedder builds, and each feature by itself.
    for features in ["", "files", "models", "video", "bench"] {
        cargo(&["clippy", "--lib", "--no-default-features", "--features", features, "--", "-D", "warnings"])?;
    }
    run(cargo_command(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    cargo(&["test", "--workspace", "--all-features", "--all-targets"])?;
    cargo(&["test", "--workspace", "--all-features", "--doc"])?;
    if cargo_command(&["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        cargo(&["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])?;
    } else {
        println!("xtask: skipped the check of licences, as cargo-deny is not installed (cargo install cargo-deny)");
    }
    println!("xtask: everything passed");
    Ok(())
}

/// The tests run on a GPU API. On Debian and Ubuntu without any Vulkan driver, installs Mesa's, which runs on the CPU.
fn make_sure_of_a_vulkan_driver() -> Outcome {
    if !cfg!(target_os = "linux") || has_vulkan_driver() {
        return Ok(());
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release.lines().any(|line| {
        let value = |key: &str| line.strip_prefix(key).map(|value| value.trim_matches('"').to_owned());
        let names = value("ID=").or_else(|| value("ID_LIKE=")).unwrap_or_default();
        names.split_whitespace().any(|name| ["debian", "ubuntu"].contains(&name))
    });
    if !is_debian {
        println!("xtask: no Vulkan driver found; install one (Mesa's lavapipe runs on the CPU), or the tests will fail");
        return Ok(());
    }
    println!("xtask: no Vulkan driver found; installing mesa-vulkan-drivers with apt-get");
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    for arguments in
        [["update", "-q"].as_slice(), &["install", "-q", "-y", "--no-install-recommends", "libvulkan1", "mesa-vulkan-drivers"]]
    {
        let mut command = Command::new(if is_root { "apt-get" } else { "sudo" });
        if !is_root {
            command.arg("apt-get");
        }
        run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(())
}

/// Whether the Vulkan loader and at least one driver's manifest are there.
fn has_vulkan_driver() -> bool {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some());
    let mut folders: Vec<PathBuf> = ["/usr/share", "/usr/local/share", "/etc"].map(PathBuf::from).to_vec();
    if let Some(home) = std::env::var_os("HOME") {
        folders.push(Path::new(&home).join(".local/share"));
    }
    let has_manifest = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder.join("vulkan/icd.d"));
        entries.is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "json")))
        })
    };
    let loader = Command::new("/sbin/ldconfig").arg("-p").output();
    let has_loader = loader.map_or(true, |output| String::from_utf8_lossy(&output.stdout).contains("libvulkan.so.1"));
    has_loader && (named || folders.iter().any(has_manifest))
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn cargo(arguments: &[&str]) -> Outcome {
    run(&mut cargo_command(arguments))
}

fn run(command: &mut Command) -> Outcome {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    println!("xtask: {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}: {line}")),
        Err(error) => Err(format!("cannot start {line}: {error}")),
    }
}
