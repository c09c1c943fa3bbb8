//! The folder: page, library and conformance cases.

use std::fs;
use std::path::Path;

use wasm_bindgen_cli_support::Bindgen;

use super::toolchain::{TARGET, Toolchain};
use super::{failed, root, target};
use crate::{Outcome, run};

const PACKAGE: &str = "orthoformer-web";
const PROFILE: &str = "web";
/// What a folder holds that this task made: only such a folder is replaced.
const MARK: &str = "wasm/orthoformer_web.js";

/// Builds the library for browsers and puts it into `out`, with the page around it.
pub fn build(out: &Path) -> Outcome {
    check_replaceable(out)?;
    run(Toolchain::find()?.build()?.args(["--package", PACKAGE, "--profile", PROFILE]))?;
    if out.exists() {
        fs::remove_dir_all(out).map_err(failed(out.display()))?;
    }
    let wasm = target().join(TARGET).join(PROFILE).join("orthoformer_web.wasm");
    let mut bindgen = Bindgen::new();
    let bound = bindgen.input_path(&wasm).typescript(false).omit_default_module_path(false).remove_name_section(true).web(true);
    bound.and_then(|bindgen| bindgen.generate(out.join("wasm"))).map_err(|error| format!("wasm-bindgen: {error:#}"))?;
    copy_all(&root().join("web/page"), out, |_| true)?;
    let cases = out.join("cases");
    let mut names = copy_all(&root().join("crates/cli/shipped/cases"), &cases, |name| name.ends_with(".safetensors"))?;
    names.sort();
    let list = serde_json::to_vec(&names).map_err(failed("the list of cases"))?;
    fs::write(cases.join("index.json"), list).map_err(failed(cases.display()))?;
    let size = fs::metadata(out.join("wasm/orthoformer_web_bg.wasm")).map_err(failed(out.display()))?.len();
    println!("xtask: {} is ready; the library takes {} KiB, the cases are fetched when they are run", out.display(), size >> 10);
    Ok(())
}

/// Whether nobody's own files would be lost: there is no folder yet, an empty one, or a page of this task.
fn check_replaceable(out: &Path) -> Outcome {
    if !out.exists() || out.join(MARK).is_file() {
        return Ok(());
    }
    match fs::read_dir(out).map_err(failed(out.display()))?.next() {
        None => Ok(()),
        Some(_) => Err(format!(
            "{} is not empty and holds no page that this task made (there is no {MARK}); it was left as it is: name another folder",
            out.display()
        )),
    }
}

/// Copies the files of a folder that are wanted, and says their names.
fn copy_all(from: &Path, to: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    fs::create_dir_all(to).map_err(failed(to.display()))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(failed(from.display()))? {
        let entry = entry.map_err(failed(from.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && is_wanted(&name) {
            fs::copy(entry.path(), to.join(&name)).map_err(failed(entry.path().display()))?;
            names.push(name);
        }
    }
    Ok(names)
}
