//! What compiles for browsers: the installed toolchain where it has the target, or else Debian's compiler with its sources of the standard
//! library.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{failed, target};
use crate::{cargo_command, run};

pub const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler for browsers, and the sources that it builds the standard library from.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// A way to compile for browsers.
pub enum Toolchain {
    /// The installed one.
    Installed,
    /// Debian's compiler, unpacked in a folder; the installed toolchain's linker.
    Debian { folder: PathBuf, linker: PathBuf },
}

impl Toolchain {
    /// Finds one, and unpacks Debian's if need be.
    pub fn find() -> Result<Self, String> {
        let has_target = said(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
        if has_target.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
            return Ok(Self::Installed);
        }
        println!("xtask: the installed toolchain lacks {TARGET} (rustup target add {TARGET})");
        let is_debian = Command::new("apt-get").arg("--version").output().is_ok_and(|output| output.status.success());
        if !is_debian {
            return Err(format!("nothing here compiles for browsers: rustup target add {TARGET}, then try again"));
        }
        let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]))?;
        let host = said(Command::new("rustc").args(["--print", "host-tuple"]))?;
        let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
        if !linker.is_file() {
            return Err(format!("there is no linker for browsers at {}; rustup's toolchains have one", linker.display()));
        }
        Ok(Self::Debian { folder: unpacked()?, linker })
    }

    /// `cargo build` for browsers.
    pub fn build(&self) -> Result<Command, String> {
        let mut command = cargo_command(&["build", "--target", TARGET]);
        if let Self::Debian { folder, linker } = self {
            let libraries = folder.join("usr/lib").join(said(Command::new("gcc").arg("-print-multiarch"))?.trim());
            command.arg("-Zbuild-std=std,panic_abort");
            command.env("RUSTC", folder.join("usr/bin/rustc")).env("LD_LIBRARY_PATH", libraries);
            // What `-Z` needs of a compiler that is no nightly one.
            command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        Ok(command)
    }
}

/// Debian's packages, and what they need that is not installed, downloaded and unpacked without being installed.
fn unpacked() -> Result<PathBuf, String> {
    let folder = target().join("web-toolchain");
    let (archives, root, done) = (folder.join("archives"), folder.join("root"), folder.join("unpacked"));
    if done.is_file() {
        return Ok(root);
    }
    println!("xtask: taking Debian's {} instead, unpacked in {}", PACKAGES.join(" and "), folder.display());
    for folder in [&archives.join("partial"), &root] {
        std::fs::create_dir_all(folder).map_err(failed(folder.display()))?;
    }
    let place = format!("Dir::Cache::archives={}", archives.display());
    let download = ["install", "--download-only", "--reinstall", "--no-install-recommends", "--yes", "--quiet"];
    // Nothing is installed, so that nobody has to be kept from installing meanwhile.
    let options = ["-o", &place, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"];
    run(Command::new("apt-get").args(download).args(options).args(PACKAGES))?;
    for entry in std::fs::read_dir(&archives).map_err(failed(archives.display()))? {
        let archive = entry.map_err(failed(archives.display()))?.path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(archive).arg(&root))?;
        }
    }
    std::fs::write(&done, "").map_err(failed(done.display()))?;
    Ok(root)
}

/// What a program prints.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(failed(command.get_program().display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
