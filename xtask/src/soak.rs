//! `cargo xtask soak [--forwards N]`: one engine runs thousands of layers, and neither its memory nor its results may change.

use crate::{Outcome, cargo_command, run};

/// Runs the soak in release mode, built without what it does not need.
pub fn soak(arguments: &[String]) -> Outcome {
    let test = [
        "test",
        "--release",
        "--package",
        "orthoformer",
        "--test",
        "soak",
        "--",
        "--ignored",
        "--nocapture",
        "ten_thousand_forwards",
    ];
    let mut command = cargo_command(&test);
    match arguments {
        [] => {}
        [option, number] if option == "--forwards" && number.parse::<usize>().is_ok_and(|forwards| forwards > 0) => {
            command.env("ORTHOFORMER_SOAK_FORWARDS", number);
        }
        _ => return Err(format!("unknown arguments {arguments:?}; there is: cargo xtask soak [--forwards N]")),
    }
    run(&mut command)
}
