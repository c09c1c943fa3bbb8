//! The tests of the package, by pytest: the module as cargo has built it, in an environment of its own. Without Python, or an index to install pytest from, they
//! are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where environment and package lie.
const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");

#[test]
fn pytest() {
    let python = match environment() {
        Ok(python) => python,
        Err(reason) => return println!("skipped: the tests of the Python package, as {reason}"),
    };
    let package = staged();
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-rs"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("PYTHONPATH", package).env("PYTHONDONTWRITEBYTECODE", "1");
    assert!(command.status().expect("pytest starts").success(), "pytest failed");
}

/// The interpreter of an environment with numpy and pytest; the error says what is missing for one.
fn environment() -> Result<PathBuf, String> {
    let folder = Path::new(FOLDER).join("python");
    let python = if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") };
    let is_ready = || run(Command::new(&python).args(["-c", "import numpy, pytest"])).is_ok();
    if is_ready() {
        return Ok(python);
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(system).args(["-c", "import sys; assert sys.version_info >= (3, 10), 'Python is older than 3.10'"]))?;
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy", "pytest"]))?;
    Ok(python)
}

/// Runs a command; the error is its last line.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{} does not start: {error}", command.get_program().display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success() { Ok(()) } else { Err(said.trim().lines().last().unwrap_or("it failed").to_owned()) }
}

/// A folder with the package, whole: its Python files, and the module beside them.
fn staged() -> PathBuf {
    let folder = Path::new(FOLDER).join("package");
    let package = folder.join("orthoformer");
    let _ = std::fs::remove_dir_all(&package);
    std::fs::create_dir_all(&package).expect("a folder");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/orthoformer");
    for entry in std::fs::read_dir(sources).expect("the package") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, package.join(path.file_name().expect("a name"))).expect("copies");
        }
    }
    let module = if cfg!(windows) { "_native.pyd" } else { "_native.abi3.so" };
    std::fs::copy(library(), package.join(module)).expect("copies");
    folder
}

/// The module, which cargo builds ahead of this test.
fn library() -> PathBuf {
    let name = format!("{}_native{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let own = std::env::current_exe().expect("this program");
    let mut folders = own.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    folders.find(|path| path.exists()).expect("cargo builds the module")
}
