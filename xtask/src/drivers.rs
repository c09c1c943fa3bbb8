//! Drivers and tools that tests use, installed where a package manager is known.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, run};

/// Beyond a Vulkan driver: OpenGL, SwiftShader and a browser (Chromium), and validators of SPIR-V and GLSL.
const OPTIONAL: [&str; 5] = ["libegl1", "chromium", "ffmpeg", "spirv-tools", "glslang-tools"];
const VULKAN: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// The tests run on a GPU API. On Debian and Ubuntu without any Vulkan driver, installs Mesa's, which runs on the CPU.
pub fn make_sure_of_vulkan() -> Outcome {
    if !cfg!(target_os = "linux") || has_vulkan_driver() {
        return Ok(());
    }
    if !is_debian() {
        println!("xtask: no Vulkan driver found; install one (Mesa's lavapipe runs on the CPU), or the tests will fail");
        return Ok(());
    }
    println!("xtask: no Vulkan driver found; installing mesa-vulkan-drivers with apt-get");
    install(&VULKAN)
}

/// Installs everything that makes tests skip less.
pub fn install_all() -> Outcome {
    if !is_debian() {
        return Err(format!("no package manager that is known here; what helps are a Vulkan driver and {}", OPTIONAL.join(", ")));
    }
    install(&[VULKAN.as_slice(), &OPTIONAL].concat())
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| {
        let value = |key: &str| line.strip_prefix(key).map(|value| value.trim_matches('"').to_owned());
        let names = value("ID=").or_else(|| value("ID_LIKE=")).unwrap_or_default();
        names.split_whitespace().any(|name| ["debian", "ubuntu"].contains(&name))
    })
}

fn install(packages: &[&str]) -> Outcome {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let install = ["install", "-q", "-y", "--no-install-recommends"].into_iter().chain(packages.iter().copied());
    for arguments in [vec!["update", "-q"], install.collect()] {
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
