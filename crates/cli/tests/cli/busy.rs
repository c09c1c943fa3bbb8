//! The benchmark beside other work.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::program::{folder, json, orthoformer, text};

/// Keeps as many threads busy as long as it lives.
struct Busy<'s>(&'s AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The same program twice, once beside three busy loops: nothing is faster and nothing slower.
#[test]
fn a_busy_machine_makes_no_verdict() {
    let folder = folder();
    let file = |name: &str| text(folder.path().join(name));
    let flags =
        ["--operation", "layer,linear,attention", "--approximation", "exact", "--variant", "auto,baseline", "--no-ceilings"];
    let bench = |more: &[&str]| {
        let bench = ["bench", "--shape", "4x25x48x3", "--runs", "12", "--backend", "vulkan", "--json"];
        orthoformer(&[&bench[..], &flags, more].concat()).success()
    };
    let quiet = bench(&[]);
    std::fs::write(file("quiet.json"), &quiet.get_output().stdout).expect("a place to write");
    let stop = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let busy = Busy(&stop);
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let beside = bench(&["--compare", &file("quiet.json")]);
        drop(busy);
        beside
    });
    std::fs::write(file("busy.json"), &beside.get_output().stdout).expect("a place to write");
    let check = |report: &Value| {
        let rows = report["comparison"]["rows"].as_array().expect("rows");
        assert!(rows.len() >= 6, "{report}");
        let decided = |row: &&Value| row["verdict"] != "same" && row["verdict"] != "undecided";
        let decided: Vec<&Value> = rows.iter().filter(decided).collect();
        assert!(decided.is_empty(), "machine {}: {decided:?}", report["comparison"]["machine"]);
    };
    check(&json(beside));
    // The other way round: a quiet run after a busy one is not faster.
    check(&json(bench(&["--compare", &file("busy.json")])));
}
