//! `cargo xtask web [--out FOLDER] [--test]`: the page with the library in it, as a folder for any static server.

#[cfg(feature = "browser")]
mod bundle;
#[cfg(feature = "browser")]
mod check;
#[cfg(feature = "browser")]
mod chromium;
#[cfg(feature = "browser")]
mod expect;
#[cfg(feature = "browser")]
mod server;
#[cfg(feature = "browser")]
mod toolchain;

use crate::Outcome;
#[cfg(feature = "browser")]
use crate::{root, target};

/// Builds the page, or has xtask built with what that takes do it.
#[cfg(not(feature = "browser"))]
pub fn main(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|argument| argument == "--test") {
        crate::cargo(&["clippy", "--package", "xtask", "--features", "browser", "--", "-D", "warnings"])?;
    }
    let mut command = crate::cargo_command(&["run", "--quiet", "--package", "xtask", "--features", "browser", "--", "web"]);
    crate::run(command.args(arguments))
}

/// Builds the page and, with `--test`, tries it in Chromium.
#[cfg(feature = "browser")]
pub fn main(arguments: &[String]) -> Outcome {
    let usage = "usage: cargo xtask web [--out FOLDER] [--test | --serve]";
    let (mut out, mut test, mut serve) = (root().join("web/dist"), false, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out" => out = arguments.next().ok_or(usage)?.into(),
            "--test" => test = true,
            "--serve" => serve = true,
            _ => return Err(usage.to_owned()),
        }
    }
    bundle::build(&out)?;
    if test {
        check::check(&out)?;
    }
    if serve {
        server::serve_forever(&out)?;
    }
    Ok(())
}

/// Says what was being done where it failed.
#[cfg(feature = "browser")]
fn failed<E: std::fmt::Display>(doing: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{doing}: {error}")
}
