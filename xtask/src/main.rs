//! `cargo xtask test`: everything that has to pass, with nothing to install by hand; and tasks for what takes more.

mod cases;
mod drivers;
mod fuzz;
mod matrix;
mod soak;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TASKS: &str = "\
cargo xtask test                  everything that has to pass
cargo xtask matrix                kernels and cases on every driver of this machine, with and without each optional feature
cargo xtask cases --verify        the answers of crates/cli/shipped/cases against the formulas; --out FOLDER writes cases anew
cargo xtask drivers               on Debian and Ubuntu: installs what the other tasks can use beyond a Vulkan driver
cargo xtask fuzz [--seconds N]    fuzzes what reads files of others
cargo xtask soak [--forwards N]   many forwards on one engine, with their memory
cargo xtask man [FOLDER]          the manual's pages, one a command [default: target/man]
cargo xtask web [--test]          the page for browsers; with --test, in headless Chromium";

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    let outcome = match task {
        "test" => test(),
        "matrix" => drivers::make_sure_of_vulkan().and_then(|()| matrix::matrix(true)),
        "cases" => cases::main(rest),
        "drivers" => drivers::install_all(),
        "fuzz" => fuzz::fuzz(rest),
        "soak" => soak::soak(rest),
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
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    // What an embedder builds, and what a browser's page has around it: the packages with a feature do without it.
    let packages = ["--package", "orthoformer", "--package", "orthoformer-video", "--package", "orthoformer-bench"];
    cargo(&[&["clippy"], &packages[..], &["--no-default-features", "--", "-D", "warnings"]].concat())?;
    run(cargo_command(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Without what xtask needs for browsers: clippy looked at that.
    cargo(&["test", "--package", "xtask"])?;
    cargo(&["test", "--workspace", "--exclude", "xtask", "--all-targets"])?;
    cargo(&["test", "--workspace", "--exclude", "xtask", "--doc"])?;
    matrix::matrix(false)?;
    if cargo_command(&["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        cargo(&["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])?;
    } else {
        println!("xtask: skipped the check of licences, as cargo-deny is not installed (cargo install cargo-deny)");
    }
    println!("xtask: everything passed");
    Ok(())
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
