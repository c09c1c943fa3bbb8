//! Names of classes.

use std::collections::BTreeMap;
use std::path::Path;

use orthoformer::{Error, Result};
use serde_json::Value;

/// Longest label that is kept, characters: what is longer is no label.
const LONGEST: usize = 1000;

/// Names of a head's classes, in order, from the text of a file: JSON, `["left", ...]`, `{"left": 0, ...}` or `{"0": "left", ...}`; or one a
/// line. `path` is for messages.
///
/// # Errors
/// [`Error::Contents`] if it is neither, has not a name for each of `classes`, or one that no name can be.
pub fn parse(path: &Path, text: &str, classes: u32) -> Result<Vec<String>> {
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let is_json = text.trim_start().starts_with(['[', '{']);
    let labels = match is_json {
        true => of_json(text).map_err(wrong)?,
        false => text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
    };
    if labels.len() as u64 != u64::from(classes) {
        return Err(wrong(format!("{} labels for a head of {classes} classes; one for each is needed", labels.len())));
    }
    if let Some(label) = labels.iter().find(|label| label.chars().count() > LONGEST || label.chars().any(char::is_control)) {
        let shown: String = label.chars().filter(|character| !character.is_control()).take(40).collect();
        return Err(wrong(format!("{shown:?}... is no label: too long, or with control characters")));
    }
    Ok(labels)
}

/// Reads the labels of a head of so many classes.
///
/// # Errors
/// [`Error::File`], and those of [`parse`].
pub fn read(path: &Path, classes: u32) -> Result<Vec<String>> {
    parse(path, &std::fs::read_to_string(path).map_err(Error::file("read", path))?, classes)
}

fn of_json(text: &str) -> std::result::Result<Vec<String>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("damaged JSON: {error}"))?;
    let shapes = "a list of names, an object from names to numbers, or one from numbers to names";
    let numbered: Vec<(u64, String)> = match value {
        Value::Array(names) => {
            let named = (0..).zip(names).map(|(number, name)| Some((number, name.as_str()?.to_owned())));
            named.collect::<Option<_>>().ok_or(format!("a label that is no text; {shapes} is needed"))?
        }
        Value::Object(entries) => {
            let entry = |(key, value): (String, Value)| match value {
                Value::Number(number) => Some((number.as_u64()?, key)),
                Value::String(name) => Some((key.parse().ok()?, name)),
                _ => None,
            };
            entries
                .into_iter()
                .map(entry)
                .collect::<Option<_>>()
                .ok_or(format!("an entry without a class; {shapes} is needed"))?
        }
        _ => return Err(format!("not {shapes}")),
    };
    let count = numbered.len() as u64;
    let by_number: BTreeMap<u64, String> = numbered.into_iter().collect();
    match by_number.last_key_value() {
        Some((&last, _)) if by_number.len() as u64 != count || last != count - 1 => {
            Err(format!("{count} labels do not have the numbers from 0 to {}, each once", count - 1))
        }
        _ => Ok(by_number.into_values().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_four_forms() {
        let expected = vec!["left".to_owned(), "right".to_owned()];
        for text in
            ["left\nright\n", "[\"left\", \"right\"]", "{\"right\": 1, \"left\": 0}", "{\"1\": \"right\", \"0\": \"left\"}"]
        {
            assert_eq!(parse(Path::new("labels"), text, 2).expect("labels"), expected, "{text}");
        }
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let complaint = |text: &str, classes| parse(Path::new("l"), text, classes).expect_err("no labels").to_string();
        assert_eq!(complaint("left\nright", 3), "l: 2 labels for a head of 3 classes; one for each is needed");
        assert!(complaint("{\"a\": 0, \"b\": 2}", 2).contains("numbers from 0 to 1"));
        assert!(complaint("{\"a\": 0, \"b\": 0}", 2).contains("each once"));
        assert!(complaint("[1, 2]", 2).contains("no text"));
        assert!(complaint("{\"a\": [", 2).contains("damaged JSON"));
        assert!(complaint("\u{1b}[31mred\nblue", 2).contains("control characters"));
        assert!(complaint(&"x".repeat(2000), 1).contains("too long"));
    }
}
