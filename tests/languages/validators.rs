//! The validators of others: spirv-val and glslangValidator, where they are installed.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::translate::Text;

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

/// What spirv-val says about modules that are not valid, each by the rules of the Vulkan that takes its version; `folder` is for files.
pub fn spirv_faults(modules: &[Text], folder: &str) -> Vec<String> {
    if !installed("spirv-val") {
        return Vec::new();
    }
    let mut skipped = 0;
    let mut faults = Vec::new();
    for (number, module) in modules.iter().enumerate() {
        let environment = match module.version {
            (1, 0) => "vulkan1.0",
            (1, 3) => "vulkan1.1",
            (1, 6) => "vulkan1.3",
            version => panic!("which Vulkan takes SPIR-V {version:?}?"),
        };
        let path = written(module, folder, number, "spv");
        let output = Command::new("spirv-val").args(["--target-env", environment]).arg(path).output().expect("it ran before");
        let said = said(&output);
        // Versions before 2023.4 do not know the capability of matrix units.
        match said.contains("Invalid capability operand: 6022") {
            true => skipped += 1,
            false if output.status.success() => (),
            false => faults.push(format!("{}: {}", module.name, said.trim())),
        }
    }
    if skipped > 0 {
        println!("skipped: {skipped} of {} modules use matrix units, which this spirv-val does not know yet", modules.len());
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
