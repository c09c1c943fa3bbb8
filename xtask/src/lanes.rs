//! Work side by side. Mesa's software driver compiles one shader at a time in a process, so that two processes take half as long on two cores.

use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use crate::{Outcome, line_of};

/// More than these would only wait for each other's threads.
const MOST: usize = 4;

/// What `work` makes of all items, in their order; as many at a time as there are processors. Items that take longest come first.
pub fn side_by_side<I: Send, T: Send>(items: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let lanes = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let (queue, done) = (Mutex::new(items.into_iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                    let Some((index, item)) = next else { return };
                    let made = work(item);
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((index, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, made)| made).collect()
}

/// Runs commands side by side, and prints what each says once it has ended. All of them run, whatever fails.
pub fn run_side_by_side(commands: Vec<Command>) -> Outcome {
    let outcomes = side_by_side(commands, |mut command| {
        let (line, start) = (line_of(&command), Instant::now());
        println!("xtask: {line}");
        let output = command.output().map_err(|error| format!("cannot start {line}: {error}"))?;
        let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let took = start.elapsed().as_secs();
        println!("xtask: after {took} s: {line}\n{said}{complained}");
        if output.status.success() { Ok(()) } else { Err(format!("{}: {line}", output.status)) }
    });
    let failed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}
