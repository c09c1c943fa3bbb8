//! Files of the repository that tests write when they are told to, and else compare.

use std::path::Path;

/// Compares a file of the repository with what it should be; with `UPDATE_SNAPSHOTS` set, writes it instead.
pub fn assert_kept(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| !value.is_empty()) {
        std::fs::write(&path, expected).expect("the repository's own folder");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(place) = first_difference(&found, expected) {
        panic!(
            "{file} is not what the shaders say, {place}\nIf the shaders are right: UPDATE_SNAPSHOTS=1 cargo test -p orthoformer --test host languages"
        );
    }
}

/// Number and text of the first line in which two texts differ.
fn first_difference(found: &str, expected: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let (mut found, mut expected) = (found.lines(), expected.lines());
    for number in 1.. {
        let lines = (found.next(), expected.next());
        if lines.0 != lines.1 || lines == (None, None) {
            let shown = |line: Option<&str>| line.map_or_else(|| "(the end)".to_owned(), str::to_owned);
            return Some(format!("line {number}:\n  in the file: {}\n  should be:   {}", shown(lines.0), shown(lines.1)));
        }
    }
    None
}

#[test]
fn the_first_line_that_differs_is_named() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    let place = first_difference("a\nb\nc\n", "a\nx\nc\n").expect("different");
    assert_eq!(place, "line 2:\n  in the file: b\n  should be:   x");
    assert!(first_difference("a\n", "a\nb\n").is_some_and(|place| place.contains("line 2:\n  in the file: (the end)")));
    assert!(first_difference("a", "a\n").is_some_and(|place| place.starts_with("line 2")));
}
