//! `cargo xtask compilers`: what the compilers of GPUs make of the shaders, without these GPUs.

mod mesa;
mod table;

use std::path::PathBuf;
use std::process::Stdio;

use mesa::{Mesa, TARGETS, Target};
use table::{Row, faults, recorded};

use crate::lanes::side_by_side;
use crate::{Outcome, TESTED, cargo, target};

/// What is asked for.
#[derive(Default)]
struct Request {
    targets: Vec<&'static Target>,
    json: bool,
    dump: Option<PathBuf>,
    record: bool,
    /// Leave out shaders that no engine chooses.
    chosen: bool,
}

/// Compiles the shaders on the targets, prints the table, and compares it with the record.
pub fn main(arguments: &[String]) -> Outcome {
    let request = Request::of(arguments)?;
    let mesa = Mesa::fetch()?;
    let rows = rows(&request, &mesa)?;
    if request.json {
        println!("{}", serde_json::Value::Array(rows.iter().map(Row::json).collect()));
    } else {
        print(&rows);
    }
    if request.record {
        return table::record(&rows);
    }
    judged(&rows)
}

/// Part of `cargo xtask test`: what engines choose on three targets.
pub fn test() -> Outcome {
    let targets = TARGETS.iter().filter(|target| ["rdna3", "ada", "m1"].contains(&target.name)).collect();
    let request = Request { targets, chosen: true, ..Request::default() };
    match Mesa::fetch() {
        Ok(mesa) => judged(&rows(&request, &mesa)?),
        Err(reason) => {
            println!("xtask: skipped what GPUs' compilers say: {reason}");
            Ok(())
        }
    }
}

fn judged(rows: &[Row]) -> Outcome {
    match faults(rows, &recorded()?).as_slice() {
        [] => Ok(()),
        faults => Err(format!("{} of {} shaders:\n{}", faults.len(), rows.len(), faults.join("\n"))),
    }
}

impl Request {
    fn of(arguments: &[String]) -> Result<Self, String> {
        let mut request = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--target" => request.targets.push(target_named(value()?)?),
                "--dump" => request.dump = Some(value()?.into()),
                "--json" => request.json = true,
                "--record" => request.record = true,
                other => {
                    return Err(format!(
                        "unknown argument {other:?}: --target NAME, --json, --dump FOLDER and --record are known"
                    ));
                }
            }
        }
        if request.record && !request.targets.is_empty() {
            return Err("a record has all targets".to_owned());
        }
        if request.targets.is_empty() {
            request.targets = TARGETS.iter().collect();
        }
        Ok(request)
    }
}

fn target_named(name: &str) -> Result<&'static Target, String> {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| format!("no target {name:?}; there are {}", names()))
}

/// The rows of all targets, in their order.
fn rows(request: &Request, mesa: &Mesa) -> Result<Vec<Row>, String> {
    // With the features that the tests' dependencies have, or all of it would be built anew.
    cargo(&[&["build", "--quiet"], &TESTED[..], &["--bin", "compilers", "--test", "host"]].concat())?;
    let of_targets = side_by_side(request.targets.clone(), |target| rows_of(request, mesa, target));
    Ok(of_targets.into_iter().collect::<Result<Vec<_>, String>>()?.concat())
}

fn rows_of(request: &Request, mesa: &Mesa, gpu: &Target) -> Result<Vec<Row>, String> {
    let mut command = mesa.command_for(gpu, &target().join("debug/compilers"))?;
    if let Some(folder) = &request.dump {
        command.arg("--dump").arg(folder.join(gpu.name));
    }
    if request.chosen {
        command.arg("--chosen");
    }
    eprintln!("xtask: compiling for {}", gpu.name);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{}: {}", gpu.name, output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Result<Vec<serde_json::Value>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.map_err(|error| format!("{}: {error}", gpu.name))?;
    let (adapter, shaders) = lines.split_first().ok_or_else(|| format!("{} says nothing", gpu.name))?;
    let driver = adapter["driver"].as_str().unwrap_or_default().replace(',', " ");
    shaders.iter().map(|line| Row::of(gpu.name, &driver, line)).collect()
}

fn print(rows: &[Row]) {
    println!(
        "| shader | registers | spills | occupancy | workgroup bytes | instructions | cycles | multiply-adds | chosen for |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        println!("| {} | {} | {} |", row.name(), row.shown().join(" | "), row.chosen);
    }
}
