//! The validators of others: spirv-val and glslangValidator, where they are installed.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::translate::Text;

/// Whether a tool is installed, and a word about it where it is not.
pub fn installed(name: &str) -> bool {
    let tried = Command::new(name).arg("--version").output();
    if let Err(error) = &tried {
        println!("skipped: what {name} would check, as it does not run here ({error})");
    }
    tried.is_ok()
}

/// Writes the text to a file of its own.
fn written(text: &Text, folder: &str, number: usize, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("the build's own folder");
    let path = folder.join(format!("{number}.{extension}"));
    std::fs::write(&path, &text.bytes).expect("the build's own folder");
    path
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// naga says how arrays in workgroup memory are laid out, which Vulkan forbids without an extension (gfx-rs/wgpu issue 7696). Versions of
/// spirv-val from 2024 on notice; it is none of our shaders' fault.
const LAYOUT_OF_WORKGROUP_MEMORY: &str = "VUID-StandaloneSpirv-None-10684";
/// Matrix units, which versions of spirv-val before 2023.4 do not know.
const UNKNOWN_CAPABILITY: &str = "Invalid capability operand: 6022";

/// What spirv-val says about modules that are not valid, each by the rules of the Vulkan that takes its version; `folder` is for files.
pub fn spirv_faults(modules: &[Text], folder: &str) -> Vec<String> {
    if !installed("spirv-val") {
        return Vec::new();
    }
    let (mut unknown, mut laid_out) = (0, 0);
    let mut faults = Vec::new();
    for (number, module) in modules.iter().enumerate() {
        let (vulkan, universal) = match module.version {
            (1, 0) => ("vulkan1.0", "spv1.0"),
            (1, 3) => ("vulkan1.1", "spv1.3"),
            (1, 6) => ("vulkan1.3", "spv1.6"),
            version => panic!("which Vulkan takes SPIR-V {version:?}?"),
        };
        let path = written(module, folder, number, "spv");
        let fault = |environment: &str| {
            let output =
                Command::new("spirv-val").args(["--target-env", environment]).arg(&path).output().expect("it ran before");
            (!output.status.success()).then(|| said(&output))
        };
        let mut found = fault(vulkan);
        if found.as_ref().is_some_and(|said| said.contains(LAYOUT_OF_WORKGROUP_MEMORY)) {
            laid_out += 1;
            found = fault(universal);
        }
        match found {
            Some(said) if said.contains(UNKNOWN_CAPABILITY) => unknown += 1,
            Some(said) => faults.push(format!("{}: {}", module.name, said.trim())),
            None => (),
        }
    }
    if unknown > 0 {
        println!("skipped: {unknown} of {} modules use matrix units, which this spirv-val does not know yet", modules.len());
    }
    if laid_out > 0 {
        println!("skipped: Vulkan's own rules for {laid_out} of {} modules, as naga lays out workgroup memory", modules.len());
    }
    faults
}

/// What glslangValidator says about texts that are not valid; `folder` is for files. All go through one process, since it is the start of it
/// that takes time.
pub fn glsl_faults(texts: &[Text], folder: &str) -> Vec<String> {
    if !installed("glslangValidator") {
        return Vec::new();
    }
    let paths: Vec<PathBuf> = texts.iter().enumerate().map(|(number, text)| written(text, folder, number, "comp")).collect();
    let output = Command::new("glslangValidator").args(&paths).output().expect("it ran before");
    if output.status.success() {
        return Vec::new();
    }
    let said = said(&output);
    // It prints each file's name, and complaints after that.
    let faults = texts.iter().zip(&paths).filter_map(|(text, path)| {
        let name = path.display().to_string();
        let after = said.split_once(name.as_str())?.1.trim_start();
        after.starts_with("ERROR").then(|| format!("{}: {}", text.name, after.lines().take(3).collect::<Vec<_>>().join(" ")))
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { vec![said] } else { faults }
}
