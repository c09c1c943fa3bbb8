//! `orthoformer tune`, and what other commands make of its cache.

use std::path::Path;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{folder, json, orthoformer, shipped, text};

#[test]
fn the_program_tunes_and_takes_the_cache_into_account() {
    let folder = folder();
    let cache = text(folder.path().join("cache.json"));
    let tune = ["tune", "--shape", "4x9x48x3", "--runs", "1", "--cache", &cache, "--json"];
    let report = json(orthoformer(&tune).success());
    assert_eq!(report["cache"], cache);
    assert!(report["work"].as_array().is_some_and(|work| work.len() > 5), "{report}");
    let case = shipped("cases/layer_trajectory_1_projected.safetensors");
    orthoformer(&["check", &case, "--cache", &cache]).success().stderr(contains("warning").not());
    let none = text(folder.path().join("none.json"));
    orthoformer(&["check", &case, "--cache", &none]).success().stderr(contains("there is no tuning cache"));
    std::fs::write(Path::new(&cache), "{").expect("a place to write");
    orthoformer(&["check", &case, "--cache", &cache]).success().stderr(contains("warning: the tuning cache is ignored"));
    // A file that is something else is not replaced.
    orthoformer(&["tune", "--shape", "4x9x48x3", "--cache", &cache]).code(1).stderr(contains("not a tuning cache"));
    assert_eq!(std::fs::read_to_string(&cache).expect("still there"), "{");
    orthoformer(&["tune", "--shape", "4x9x48x3", "--cache", "/dev/null/cache.json"]).failure().stderr(contains("cannot"));
    orthoformer(&["tune", "--shape", "4x9x50x3"]).failure().stderr(contains("expected FRAMES"));
}
