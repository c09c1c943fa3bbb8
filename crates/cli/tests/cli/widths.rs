//! Tables in terminals of different widths.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{orthoformer, orthoformer_in};

const NOTE: &str = "columns left out at this width: ";
const LONG: [&str; 3] = ["compare", "--long", "1024,32,2"];

/// What the program prints in so many columns, once no line of it is wider.
fn printed(columns: usize, arguments: &[&str]) -> String {
    let run = orthoformer_in(columns, arguments).success();
    let text = String::from_utf8(run.get_output().stdout.clone()).expect("UTF-8");
    for line in text.lines() {
        assert!(line.chars().count() <= columns, "{} columns in {columns}: {line:?}\n{text}", line.chars().count());
    }
    text
}

#[test]
fn tables_fit_the_terminal_and_break_no_word() {
    let bench = "bench --shape 2x9x24x3 --runs 3 --no-ceilings --operation layer --approximation exact --variant baseline";
    let bench: Vec<&str> = bench.split(' ').collect();
    let check = ["check", "layer_joint_0", "trajectories_nystrom_0"];
    let commands: [(&[&str], [&str; 2]); 4] = [
        (&["devices"], ["max_compute_workgroups_per_dimension", "subgroups"]),
        (&LONG, ["Orthoformer-64", "Performer-256"]),
        (&check, ["layer_joint_0", "trajectories_nystrom_0"]),
        (&bench, ["layer/qkv", "baseline"]),
    ];
    for (arguments, expected) in commands {
        for columns in [40, 60, 80, 100, 200] {
            let text = printed(columns, arguments);
            let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches(':')).collect();
            for word in expected {
                assert!(words.contains(&word), "{word} in {columns} columns:\n{text}");
            }
        }
    }
}

#[test]
fn what_is_left_out_is_said() {
    let text = printed(80, &LONG);
    assert!(text.contains(NOTE) && text.contains('┌') && !text.contains("paper MB "), "{text}");
    // In a pipe everything is there; where there is hardly any room, in lines.
    orthoformer(&LONG).success().stdout(contains(NOTE).not().and(contains("paper MB ")));
    let narrow = printed(30, &LONG);
    assert!(!narrow.contains(NOTE) && !narrow.contains('┌') && narrow.contains("paper MB: "), "{narrow}");
}
