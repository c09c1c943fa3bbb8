//! The shipped cases are right, and wrong ones are found.

use std::path::Path;

use super::file::Case;
use super::table::{CASES, LARGE};
use super::verify::{Verdict, case_files, check, verify};
use super::{draw, generate, shipped};

fn shipped_case(name: &str) -> Case {
    Case::read(&shipped().join(format!("{name}.safetensors"))).expect("a shipped case")
}

/// The error of a case after a change.
fn error_after(name: &str, change: impl Fn(&mut Case)) -> String {
    let mut case = shipped_case(name);
    change(&mut case);
    check(&case).expect_err("the change breaks the case")
}

fn change_value(case: &mut Case, name: &str, change: impl Fn(f64) -> f64) {
    let tensor = case.tensors.get_mut(name).expect("a tensor of the case");
    tensor.values[1] = change(tensor.values[1]);
}

#[test]
fn shipped_cases_are_right() {
    verify(&shipped()).expect("all right");
}

#[test]
fn the_table_has_the_shipped_cases() {
    let files = case_files(&shipped()).expect("there are cases");
    let names: Vec<_> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let mut listed: Vec<_> = CASES.iter().map(|entry| entry.name).collect();
    listed.sort_unstable();
    assert_eq!(names, listed);
    for entry in CASES {
        let case = generate::inputs_of(entry, shipped_case(entry.name));
        assert!(case.is_ok(), "{}: {case:?}", entry.name);
    }
}

#[test]
fn drawn_cases_can_be_answered_and_are_the_same_each_time() {
    for entry in CASES.iter().chain(LARGE) {
        let drawn = draw::case(entry).expect("drawn");
        assert_eq!(drawn, draw::case(entry).expect("drawn once more"), "{}", entry.name);
        let bytes = generate::answered(drawn).expect("answered").bytes();
        let case = Case::parse(&bytes).expect("what was written can be read");
        assert!(matches!(check(&case), Ok(Verdict::Right(_))), "{}: {:?}", entry.name, check(&case));
    }
}

#[test]
fn written_cases_keep_their_inputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let entries = &CASES[..3];
    generate::generate(entries, &shipped(), folder.path()).expect("written");
    verify(folder.path()).expect("all right");
    for entry in entries {
        let written = Case::read(&folder.path().join(format!("{}.safetensors", entry.name))).expect("read");
        let inputs = |case| generate::inputs_of(entry, case).expect("of the table");
        assert_eq!(inputs(written), inputs(shipped_case(entry.name)), "{}", entry.name);
    }
}

#[test]
fn wrong_answers_are_found() {
    for (name, output) in [("trajectories_1", "tokens"), ("layer_trajectory_0_projected", "y"), ("deformable_0", "out")] {
        let output = format!("expected.{output}");
        let error = error_after(name, |case| change_value(case, &output, |value| value + 1e-5));
        assert!(error.contains(&output) && error.contains("above 1e-6"), "{error}");
        let error = error_after(name, |case| change_value(case, &output, |_| f64::NAN));
        assert!(error.contains("not finite"), "{error}");
        let error = error_after(name, |case| drop(case.tensors.remove(&output)));
        assert!(error.contains("no tensor"), "{error}");
    }
    let error = error_after("prototypes_0_sum", |case| change_value(case, "expected.indices", |pick| pick + 1.0));
    assert!(error.contains("expected.indices"), "{error}");
}

#[test]
fn wrong_inputs_and_metadata_are_errors() {
    let set = |key: &'static str, value: &'static str| {
        move |case: &mut Case| drop(case.metadata.insert(key.to_owned(), value.to_owned()))
    };
    let wrong = [("frames", "0"), ("frames", "3"), ("frames", "many"), ("approximation", "none"), ("fraction", "0.5")];
    for (key, value) in wrong {
        let error = error_after("trajectories_1", set(key, value));
        assert!(error.contains(key) || error.contains("10 tokens"), "{error}");
    }
    for count in ["0", "11", "99999999999"] {
        error_after("prototypes_0_sum", set("count", count));
    }
    error_after("trajectories_nystrom_0", set("prototypes", "37"));
    error_after("layer_joint_0", set("heads", "3"));
    error_after("trajectories_1", |case| drop(case.tensors.remove("k")));
    error_after("prototypes_0_sum", |case| case.tensors.get_mut("start").expect("a start").values[0] = 10.0);
    let error = error_after("deformable_0", |case| change_value(case, "displacement", |_| f64::NAN));
    assert!(error.contains("displacement"), "{error}");
}

#[test]
fn a_broken_file_fails_and_an_unknown_operation_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(verify(folder.path()).is_err_and(|error| error.contains("no case files")));
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    let mut network = shipped_case("trajectories_0");
    network.metadata.insert("op".to_owned(), "network".to_owned());
    assert_eq!(check(&network), Ok(Verdict::Skipped("network".to_owned())));
    write("network.safetensors", &network.bytes());
    assert!(verify(folder.path()).is_err_and(|error| error.contains("none of 1 cases")));
    write("whole.safetensors", &shipped_case("trajectories_0").bytes());
    verify(folder.path()).expect("one right, one skipped");
    write("broken.safetensors", b"{}");
    assert!(verify(folder.path()).is_err_and(|error| error.contains("broken.safetensors")));
    assert!(verify(Path::new("/nowhere")).is_err_and(|error| error.contains("nowhere")));
}
