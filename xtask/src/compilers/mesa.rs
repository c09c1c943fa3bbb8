//! Mesa's drivers over no-op kernel interfaces: a driver believes that it has its GPU, compiles with its production compiler, and runs nothing.
//!
//! The packages come from Debian and are unpacked in the target folder; the system is left as it is. They bring a C library of their own, so
//! programs are started by its loader.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, run, target};

/// Debian's distribution with all four shims.
const SUITE: &str = "sid";
const PACKAGES: [&str; 4] = ["mesa-vulkan-drivers", "mesa-drm-shim", "libvulkan1", "spirv-tools"];
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A GPU whose compiler is asked.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// Stem of the no-op kernel interface, `libSTEM_noop_drm_shim.so`.
    shim: &'static str,
    /// Stem of the driver's manifest, `STEM_icd.json`.
    driver: &'static str,
    /// What says which GPU it is.
    environment: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "rdna2", shim: "amdgpu", driver: "radeon", environment: &[("AMDGPU_GPU_ID", "navi21")] },
    Target { name: "rdna3", shim: "amdgpu", driver: "radeon", environment: &[("AMDGPU_GPU_ID", "navi31")] },
    Target { name: "rdna4", shim: "amdgpu", driver: "radeon", environment: &[("AMDGPU_GPU_ID", "gfx1201")] },
    Target { name: "ampere", shim: "nouveau", driver: "nouveau", environment: &[("NOUVEAU_CHIPSET", "174"), UNTESTED] },
    Target { name: "ada", shim: "nouveau", driver: "nouveau", environment: &[("NOUVEAU_CHIPSET", "192"), UNTESTED] },
    Target { name: "m1", shim: "asahi", driver: "asahi", environment: &[] },
    Target { name: "adreno740", shim: "freedreno", driver: "freedreno", environment: &[("FD_GPU_ID", "740")] },
];

/// Without it the driver shows no chips that it was not tested on.
const UNTESTED: (&str, &str) = ("NVK_I_WANT_A_BROKEN_VULKAN_DRIVER", "1");

/// The unpacked packages.
pub struct Mesa {
    root: PathBuf,
}

impl Mesa {
    /// Fetches and unpacks what is not there yet.
    ///
    /// # Errors
    /// Why it cannot be fetched, for people.
    pub fn fetch() -> Result<Self, String> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err("the packages are for Linux on x86-64".to_owned());
        }
        let folder = target().join("compilers");
        let (root, done) = (folder.join("root"), folder.join("unpacked"));
        if !done.is_file() {
            download(&folder)?;
            let packages = files(&folder.join("archives"), "deb")?;
            for package in &packages {
                run(Command::new("dpkg").arg("-x").arg(package).arg(&root))?;
            }
            write(&done, &format!("{} packages\n", packages.len()))?;
        }
        Ok(Self { root })
    }

    /// A command that runs a program with the unpacked libraries, and with a target as its only GPU.
    ///
    /// # Errors
    /// Why its driver cannot be named, for people.
    pub fn command_for(&self, target: &Target, program: &Path) -> Result<Command, String> {
        let libraries = self.root.join(LIBRARIES);
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries);
        command.arg("--preload").arg(libraries.join(format!("lib{}_noop_drm_shim.so", target.shim))).arg(program);
        let manifest = self.manifest(target)?;
        command.env("VK_DRIVER_FILES", &manifest).env("VK_ICD_FILENAMES", manifest).envs(target.environment.iter().copied());
        // Layers of the system belong to another C library; compiled shaders that were kept would say nothing.
        command.env("VK_LOADER_LAYERS_DISABLE", "~all~").env("MESA_SHADER_CACHE_DISABLE", "1");
        command.env("XDG_RUNTIME_DIR", "/nonexistent/orthoformer");
        Ok(command)
    }

    /// The driver's manifest, with the whole path of its library.
    fn manifest(&self, target: &Target) -> Result<PathBuf, String> {
        let name = format!("{}_icd.json", target.driver);
        let path = self.root.join("usr/share/vulkan/icd.d").join(&name);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut manifest: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
        let library = manifest["ICD"]["library_path"].as_str().unwrap_or_default();
        let library = self.root.join(LIBRARIES).join(Path::new(library).file_name().unwrap_or_default());
        manifest["ICD"]["library_path"] = library.to_string_lossy().into();
        let own = self.root.join(name);
        write(&own, &manifest.to_string())?;
        Ok(own)
    }
}

/// Downloads the packages and all that they depend on, as if nothing were installed.
fn download(folder: &Path) -> Outcome {
    for name in ["lists/partial", "archives/partial", "state", "parts"] {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let shown = folder.display();
    write(&folder.join("status"), "")?;
    let source = format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {SUITE} main\n", mirror()?);
    write(&folder.join("sources.list"), &source)?;
    let settings = [
        ("Dir::State", "/state"),
        ("Dir::State::lists", "/lists"),
        ("Dir::State::status", "/status"),
        ("Dir::Cache", ""),
        ("Dir::Cache::archives", "/archives"),
        ("Dir::Etc::sourcelist", "/sources.list"),
        ("Dir::Etc::sourceparts", "/parts"),
        ("Dir::Etc::preferencesparts", "/parts"),
    ];
    let paths: String = settings.iter().map(|(name, path)| format!("{name} \"{shown}{path}\";\n")).collect();
    let configuration = folder.join("apt.conf");
    write(&configuration, &format!("{paths}APT::Install-Recommends \"false\";\n"))?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        run(command.args(arguments).env("APT_CONFIG", &configuration).stdout(std::process::Stdio::null()))
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--download-only"], &PACKAGES[..]].concat())
}

/// Where the system's own packages come from.
fn mirror() -> Result<String, String> {
    let mut texts = vec![std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    let parts = files(Path::new("/etc/apt/sources.list.d"), "sources").unwrap_or_default();
    texts.extend(parts.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default()));
    let mut words =
        texts.iter().flat_map(|text| text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace));
    let found = words.find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    found.map(str::to_owned).ok_or_else(|| "this system has no packages from Debian".to_owned())
}

/// The files of a folder with this extension.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
    found.sort();
    Ok(found)
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
