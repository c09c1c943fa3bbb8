//! Names of classes, as data sets and libraries have them.
//!
//! | file | read as |
//! | --- | --- |
//! | `["left", "right"]` | names in order |
//! | `{"left": 0, "right": 1}`, `{"left": "0", ...}` (Something-Something) | names to numbers |
//! | `{"0": "left", "1": "right"}` | numbers to names |
//! | `{"id2label": {...}}` (Hugging Face's `config.json`) | what `id2label` says |
//! | text, a name a line; a line `name` or `label` ahead of them is a header | names in order |
//! | text, `3 right` or `right 3` a line | a number and a name |
//! | comma- or tab-separated, with a header or without | the column of numbers and that of names |
//!
//! Numbers begin at 0, or all of them at 1. Quotes round a name are no part of it.

use std::collections::BTreeMap;
use std::path::Path;

use orthoformer::{Error, Result};
use serde_json::{Map, Value};

/// Longest label that is kept, characters: what is longer is no label.
const LONGEST: usize = 1000;
/// What columns of names are called.
const NAME_HEADERS: [&str; 7] = ["name", "names", "label", "labels", "class", "classes", "class_name"];

/// Names of a head's classes, in order, from the text of a file of the forms above. `path` is for messages.
///
/// # Errors
/// [`Error::Contents`] if it is none of them, has not a name for each of `classes`, or one that no name can be.
pub fn parse(path: &Path, text: &str, classes: u32) -> Result<Vec<String>> {
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let text = text.trim_start_matches('\u{feff}');
    let labels = match text.trim_start().starts_with(['[', '{']) {
        true => of_json(text).map_err(wrong)?,
        false => of_text(text, classes as usize).map_err(wrong)?,
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
    match value {
        Value::Array(names) => {
            let named = names.into_iter().map(|name| Some(unquoted(name.as_str()?)));
            named.collect::<Option<_>>().ok_or(format!("a label that is no text; {shapes} is needed"))
        }
        Value::Object(mut entries) => {
            if let Some(Value::Object(inner)) = entries.remove("id2label") {
                entries = inner;
            }
            let numbered = of_entries(entries).ok_or(format!("an entry without a class; {shapes} is needed"))?;
            in_order(numbered)
        }
        _ => Err(format!("not {shapes}")),
    }
}

/// The numbers and names of an object's entries. Where keys and values are both numbers, the keys are the classes'.
fn of_entries(entries: Map<String, Value>) -> Option<Vec<(u64, String)>> {
    let keys_are_numbers = entries.keys().all(|key| key.parse::<u64>().is_ok());
    let entry = |(key, value): (String, Value)| match value {
        Value::String(name) if keys_are_numbers => Some((key.parse().ok()?, unquoted(&name))),
        Value::String(number) => Some((number.trim().parse().ok()?, unquoted(&key))),
        Value::Number(number) => Some((number.as_u64()?, unquoted(&key))),
        _ => None,
    };
    entries.into_iter().map(entry).collect()
}

/// Names by their numbers, which are all those from 0, or all from 1.
fn in_order(numbered: Vec<(u64, String)>) -> std::result::Result<Vec<String>, String> {
    let count = numbered.len() as u64;
    let by_number: BTreeMap<u64, String> = numbered.into_iter().collect();
    match (by_number.first_key_value(), by_number.last_key_value()) {
        (Some((&first, _)), Some((&last, _))) if by_number.len() as u64 != count || first > 1 || last != first + count - 1 => {
            Err(format!("{count} labels do not have the numbers from 0 to {}, each once", count - 1))
        }
        _ => Ok(by_number.into_values().collect()),
    }
}

fn of_text(text: &str, classes: usize) -> std::result::Result<Vec<String>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for rows in [separated(text, b','), separated(text, b'\t'), numbered(&lines)].into_iter().flatten() {
        if let Some(labels) = of_rows(&rows, classes)? {
            return Ok(labels);
        }
    }
    let names: Vec<String> = lines.into_iter().map(unquoted).collect();
    match names.split_first() {
        Some((header, rest)) if rest.len() == classes && is_name_header(header) => Ok(rest.to_vec()),
        _ => Ok(names),
    }
}

/// The fields of all rows, where each has as many, and more than one.
fn separated(text: &str, separator: u8) -> Option<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(separator);
    let mut reader = reader.from_reader(text.as_bytes());
    let fields = |row: csv::Result<csv::StringRecord>| Some(row.ok()?.iter().map(str::to_owned).collect());
    let rows: Vec<Vec<String>> = reader.records().map(fields).collect::<Option<_>>()?;
    let columns = rows.first()?.len();
    (columns > 1 && rows.iter().all(|row| row.len() == columns)).then_some(rows)
}

/// Lines that begin or end with a number, as number and name.
fn numbered(lines: &[&str]) -> Option<Vec<Vec<String>>> {
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let split = |line: &&str| -> Option<Vec<String>> {
        let (first, rest) = line.split_once(char::is_whitespace)?;
        if is_number(first) {
            return Some(vec![first.to_owned(), unquoted(rest)]);
        }
        let (rest, last) = line.rsplit_once(char::is_whitespace)?;
        is_number(last).then(|| vec![last.to_owned(), unquoted(rest)])
    };
    lines.iter().map(split).collect()
}

/// The names of rows of which one column numbers the classes; `None` where none does: then commas and numbers are part of names.
fn of_rows(rows: &[Vec<String>], classes: usize) -> std::result::Result<Option<Vec<String>>, String> {
    let (header, rows) = match rows.split_first() {
        Some((header, rest)) if rest.len() == classes && header.iter().all(|field| field.parse::<u64>().is_err()) => {
            (Some(header), rest)
        }
        _ => (None, rows),
    };
    let columns = rows.first().map_or(0, Vec::len);
    let numbers = |column: usize| rows.iter().map(move |row| row.get(column)?.parse::<u64>().ok()).collect::<Option<Vec<u64>>>();
    let is_order = |numbers: &Vec<u64>| in_order(numbers.iter().map(|&number| (number, String::new())).collect()).is_ok();
    let Some((column, numbers)) = (0..columns).find_map(|column| Some((column, numbers(column).filter(is_order)?))) else {
        return Ok(None);
    };
    let mut others = (0..columns).filter(|&other| other != column);
    let named = header.and_then(|header| header.iter().position(|field| is_name_header(field)));
    let names = match (others.next(), others.next(), named.filter(|&named| named != column)) {
        (_, _, Some(named)) => named,
        (Some(only), None, None) => only,
        _ => return Err(format!("{columns} columns, and none is called name, label or class")),
    };
    let named = numbers.into_iter().zip(rows).map(|(number, row)| (number, row.get(names).cloned().unwrap_or_default()));
    in_order(named.collect()).map(Some)
}

fn is_name_header(field: &str) -> bool {
    NAME_HEADERS.contains(&field.to_lowercase().as_str())
}

/// A name without the quotes round it, as lists of Kinetics' classes have them.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    inner.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_many_forms() {
        let forms = [
            "left\nright\n",
            "\u{feff}left\r\nright\r\n",
            "\"left\"\n\"right\"",
            "name\nleft\nright",
            "[\"left\", \"right\"]",
            "{\"right\": 1, \"left\": 0}",
            "{\"right\": \"1\", \"left\": \"0\"}",
            "{\"\\\"right\\\"\": 1, \"\\\"left\\\"\": 0}",
            "{\"1\": \"right\", \"0\": \"left\"}",
            "{\"id2label\": {\"1\": \"right\", \"0\": \"left\"}, \"model_type\": \"vivit\"}",
            "1 right\n0 left",
            "right 1\nleft 0",
            "1 left\n2 right",
            "id,name\n1,right\n0,left",
            "1,right\n0,left",
            "\"left\",0\n\"right\",1",
            "id\tlabel\tsplit\n0\tleft\ttrain\n1\tright\ttrain",
        ];
        for text in forms {
            assert_eq!(parse(Path::new("labels"), text, 2).expect("labels"), ["left", "right"], "{text}");
        }
    }

    #[test]
    fn commas_and_numbers_may_be_part_of_names() {
        let of = |text: &str| parse(Path::new("labels"), text, 2).expect("labels");
        assert_eq!(
            of("pushing it, then letting go\nturning it, then back"),
            ["pushing it, then letting go", "turning it, then back"]
        );
        assert_eq!(of("\"pushing it, then letting go\",0\nlifting,1"), ["pushing it, then letting go", "lifting"]);
        assert_eq!(of("3 pointers\n2 pointers"), ["3 pointers", "2 pointers"]);
        assert_eq!(of("0,\"a \"\"b\"\"\"\n1,c"), ["a \"b\"", "c"]);
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let complaint = |text: &str, classes| parse(Path::new("l"), text, classes).expect_err("no labels").to_string();
        assert_eq!(complaint("left\nright", 3), "l: 2 labels for a head of 3 classes; one for each is needed");
        assert!(complaint("{\"a\": 0, \"b\": 2}", 2).contains("numbers from 0 to 1"));
        assert!(complaint("{\"a\": 0, \"b\": 0}", 2).contains("each once"));
        assert!(complaint("{\"a\": \"x\", \"b\": \"1\"}", 2).contains("without a class"));
        assert!(complaint("[1, 2]", 2).contains("no text"));
        assert!(complaint("{\"a\": [", 2).contains("damaged JSON"));
        assert!(complaint("0,left,train\n1,right,train", 2).contains("none is called"));
        assert!(complaint("\u{1b}[31mred\nblue", 2).contains("control characters"));
        assert!(complaint(&"x".repeat(2000), 1).contains("too long"));
    }
}
