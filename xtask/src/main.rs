//! `cargo xtask test`: everything that has to pass, with nothing to install by hand; and tasks for what takes more.

mod cases;
mod compilers;
mod drivers;
mod fuzz;
mod lanes;
mod matrix;
mod python;
mod soak;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TASKS: &str = "\
cargo xtask test                  everything that has to pass
cargo xtask matrix                kernels and cases on every driver of this machine, with and without each optional feature
cargo xtask compilers             what GPUs' compilers make of the shaders, without the GPUs; --target NAME, --dump FOLDER, --json, --record
cargo xtask cases --verify        the answers of crates/cli/shipped/cases against the formulas; --out FOLDER writes cases anew
cargo xtask drivers               on Debian and Ubuntu: installs what the other tasks can use beyond a Vulkan driver
cargo xtask fuzz [--seconds N]    fuzzes the file parsers
cargo xtask soak [--forwards N]   many forwards on one engine, with their memory
cargo xtask python                the Python package as a wheel, against PyTorch, transformers and torchvision, and on Ray
cargo xtask man [FOLDER]          the manual's pages, one a command [default: target/man]
cargo xtask web [--test]          the page for browsers; with --test, in headless Chromium";

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    let outcome = match task {
        "test" => test(),
        "matrix" => drivers::make_sure_of_vulkan().and_then(|()| matrix::matrix(true)),
        "compilers" => compilers::main(rest),
        "cases" => cases::main(rest),
        "drivers" => drivers::install_all(),
        "fuzz" => fuzz::fuzz(rest),
        "soak" => soak::soak(rest),
        "python" => python::python(rest),
        "man" => man(rest),
        "web" => web::main(rest),
        other => Err(format!("unknown task {other:?}; there are\n{TASKS}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The manual, written by the program itself, which knows its options.
fn man(arguments: &[String]) -> Outcome {
    let folder = match arguments {
        [] => target().join("man"),
        [folder] => folder.into(),
        [_, more, ..] => return Err(format!("unknown argument {more:?}: one folder is expected")),
    };
    run(cargo_command(&["run", "--quiet", "--package", "orthoformer-cli", "--", "man", "--out"]).arg(folder))
}

/// Formatting, lints, docs, every test, and licences where the tool for them is installed.
fn test() -> Outcome {
    drivers::make_sure_of_vulkan()?;
    cargo(&["fmt", "--all", "--check"])?;
    // What xtask has for browsers is looked at by `cargo xtask web`, which builds it.
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // What an embedder builds, and what a browser's page has around it: the packages with a feature do without it.
    let packages = ["--package", "orthoformer-video", "--package", "orthoformer-bench"];
    cargo(&[&["clippy"], &packages[..], &["--no-default-features", "--", "-D", "warnings"]].concat())?;
    run(cargo_command(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    cargo(&["test", "--package", "xtask"])?;
    tests()?;
    compilers::test()?;
    matrix::matrix(false)?;
    if cargo_command(&["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        cargo(&["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])?;
    } else {
        println!("xtask: skipped the check of licences, as cargo-deny is not installed (cargo install cargo-deny)");
    }
    println!("xtask: everything passed");
    Ok(())
}

/// The packages whose tests use an adapter. One selection everywhere, as another one's dependencies would have other features and be built anew.
const TESTED: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Modules of the device's tests that take half of its time where no shader was compiled before. Windows are not among them: their shaders, which are
/// unrolled, compile four times as fast for subgroups of four.
const FIRST_HALF: [&str; 5] = ["kernels::", "products::", "weights::", "prototypes::", "selections::"];

/// All tests but xtask's own. The device's program takes longest and goes in two halves.
fn tests() -> Outcome {
    cargo(&[&["test"], &TESTED[..], &["--all-targets", "--no-run"]].concat())?;
    let of = |arguments: &[&str]| cargo_command(&[&["test"], &TESTED[..], arguments].concat());
    let mut first = of(&["--test", "device", "--"]);
    first.args(FIRST_HALF);
    let mut second = of(&["--test", "device", "--"]);
    second.args(FIRST_HALF.iter().flat_map(|name| ["--skip", name]));
    // Mesa's software driver has vectors as long as the processor's, eight elements as a rule. Subgroups of four are another size that is tried, and
    // its compiler takes half as long for them.
    second.env("LP_NATIVE_VECTOR_WIDTH", "128");
    let programs = ["host", "soak", "bench", "video", "textures", "python", "cpu", "allocations"].map(|name| ["--test", name]);
    let others = [&programs.concat(), &["--lib", "--bins", "--examples", "--benches"][..]].concat();
    lanes::run_side_by_side(vec![first, second, of(&["--test", "models"]), of(&["--test", "cli"]), of(&others), of(&["--doc"])])
}

/// The repository.
fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().unwrap_or(folder).to_owned()
}

/// Where things are built.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into)
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // Mesa's Vulkan layer complains for each device where no desktop is running.
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", "/nonexistent/orthoformer");
    }
    command
}

fn cargo(arguments: &[&str]) -> Outcome {
    run(&mut cargo_command(arguments))
}

/// A command as one would type it.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn run(command: &mut Command) -> Outcome {
    let line = line_of(command);
    println!("xtask: {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}: {line}")),
        Err(error) => Err(format!("cannot start {line}: {error}")),
    }
}
