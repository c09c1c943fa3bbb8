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

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use orthoformer::{Error, Result};
use serde_json::{Map, Value};

/// Longest label that is kept, characters: what is longer is no label.
const LONGEST: usize = 1000;
/// What columns of names are called.
const NAME_HEADERS: [&str; 7] = ["name", "names", "label", "labels", "class", "classes", "class_name"];
/// What columns of numbers are called.
const NUMBER_HEADERS: [&str; 9] = ["id", "index", "number", "class_id", "class_index", "label_id", "label", "class", "target"];

/// Names of a head's classes, in order, from the text of a file of the forms above. `path` is for messages.
///
/// # Errors
/// [`Error::Contents`] if it is none of them, has not a name for each of `classes`, or one that no name can be.
pub fn parse(path: &Path, text: &str, classes: u32) -> Result<Vec<String>> {
    let wrong = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let text = text.trim_start_matches('\u{feff}');
    let labels = if is_json(text) { of_json(text) } else { of_text(text, classes as usize) }.map_err(wrong)?;
    if labels.len() as u64 != u64::from(classes) {
        return Err(wrong(format!("{} labels for a head of {classes} classes; one for each is needed", labels.len())));
    }
    if let Some(empty) = labels.iter().position(String::is_empty) {
        return Err(wrong(format!("the label of class {empty} is empty")));
    }
    labels.iter().try_for_each(|label| check(label)).map_err(wrong)?;
    Ok(labels)
}

/// Whether a text can be a label; the error says why not.
pub(crate) fn check(label: &str) -> std::result::Result<(), String> {
    if label.chars().count() <= LONGEST && !label.chars().any(char::is_control) {
        return Ok(());
    }
    let shown: String = label.chars().filter(|character| !character.is_control()).take(40).collect();
    Err(format!("{shown:?}... is no label: too long, or with control characters"))
}

/// Reads the labels of a head of so many classes.
///
/// # Errors
/// [`Error::File`], and those of [`parse`].
pub fn read(path: &Path, classes: u32) -> Result<Vec<String>> {
    parse(path, &std::fs::read_to_string(path).map_err(Error::file("read", path))?, classes)
}

/// Whether a text means to be JSON. Names may begin with a bracket: "[something] falling".
fn is_json(text: &str) -> bool {
    let mut letters = text.chars().filter(|letter| !letter.is_whitespace());
    match letters.next() {
        Some('{') => true,
        Some('[') => !letters.next().is_some_and(char::is_alphabetic),
        _ => false,
    }
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
    for separator in [b',', b'\t'] {
        if let Some(labels) = of_rows(&separated(text, separator))? {
            return Ok(labels);
        }
    }
    for side in [Side::Ahead, Side::Behind] {
        if let Some(labels) = numbered(&lines, side)? {
            return Ok(labels);
        }
    }
    let names: Vec<String> = lines.into_iter().map(unquoted).collect();
    match names.split_first() {
        Some((header, rest)) if rest.len() == classes && is_called(header, &NAME_HEADERS) => Ok(rest.to_vec()),
        _ => Ok(names),
    }
}

/// The fields of all rows; none where the text has no such rows.
fn separated(text: &str, separator: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(separator);
    let mut reader = reader.from_reader(text.as_bytes());
    let fields = |row: csv::Result<csv::StringRecord>| Some(row.ok()?.iter().map(str::to_owned).collect());
    reader.records().map(fields).collect::<Option<_>>().unwrap_or_default()
}

/// Where a line has its number.
#[derive(Clone, Copy)]
enum Side {
    Ahead,
    Behind,
}

/// The names of lines that all begin, or all end, with a number; `None` for others, and where the numbers tell equal names apart.
fn numbered(lines: &[&str], side: Side) -> std::result::Result<Option<Vec<String>>, String> {
    let split = |line: &&str| -> Option<(u64, String)> {
        let (number, name) = match side {
            Side::Ahead => line.split_once(char::is_whitespace)?,
            Side::Behind => line.rsplit_once(char::is_whitespace).map(|(name, number)| (number, name))?,
        };
        Some((number.trim_end_matches([':', '.', ')']).parse().ok()?, unquoted(name)))
    };
    let Some(rows) = lines.iter().map(split).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let distinct: BTreeSet<&String> = rows.iter().map(|(_, name)| name).collect();
    if distinct.len() < rows.len() {
        return Ok(None);
    }
    in_order(rows).map(Some)
}

/// The names of rows of which one column numbers the classes; `None` where none has numbers: then separators are part of names.
fn of_rows(rows: &[Vec<String>]) -> std::result::Result<Option<Vec<String>>, String> {
    let is_number = |field: &String| field.parse::<u64>().is_ok();
    let Some(first) = rows.first().filter(|row| row.len() > 1) else { return Ok(None) };
    let (header, rows) = if first.iter().any(is_number) { (None, rows) } else { (Some(first), &rows[1..]) };
    if rows.is_empty() || !rows.iter().all(|row| row.iter().any(is_number)) {
        return Ok(None);
    }
    if let Some(row) = rows.iter().find(|row| row.len() != first.len()) {
        let (fields, wanted) = (row.len(), first.len());
        return Err(format!(
            "the row {:?} has {fields} fields, the first one {wanted}: names with separators need quotes",
            row.join(",")
        ));
    }
    let (numeric, textual): (Vec<usize>, Vec<usize>) =
        (0..first.len()).partition(|&column| rows.iter().all(|row| is_number(&row[column])));
    let numbers = |column: usize| rows.iter().filter_map(move |row| row.get(column)?.parse::<u64>().ok());
    let is_order = |column: &usize| in_order(numbers(*column).map(|number| (number, String::new())).collect()).is_ok();
    let candidates: Vec<usize> = numeric.iter().copied().filter(is_order).collect();
    let called = |columns: &[usize], names: &[&str]| -> Vec<usize> {
        let is_one = |column: &&usize| header.and_then(|header| header.get(**column)).is_some_and(|name| is_called(name, names));
        columns.iter().filter(is_one).copied().collect()
    };
    let number = match (called(&candidates, &NUMBER_HEADERS).as_slice(), candidates.as_slice()) {
        (&[number], _) | (_, &[number]) => number,
        (_, []) => return Err(format!("no column has the numbers from 0 to {}, each once", rows.len() - 1)),
        _ => return Err("several columns number the classes, and not one of them is called id, index or class_id".to_owned()),
    };
    let name = match (called(&textual, &NAME_HEADERS).as_slice(), textual.as_slice()) {
        (&[name], _) | (_, &[name]) => name,
        (_, []) => return Err("all columns are numbers: none has names".to_owned()),
        _ => return Err(format!("{} columns have words, and not one of them is called name, label or class", textual.len())),
    };
    in_order(numbers(number).zip(rows.iter().map(|row| row[name].clone())).collect()).map(Some)
}

fn is_called(field: &str, names: &[&str]) -> bool {
    names.contains(&field.to_lowercase().as_str())
}

/// A name without the quotes round it, as lists of Kinetics' classes have them.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(name).to_owned()
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
            ",id,name\n0,1,right\n1,0,left",
            "label,name,count\n1,right,17\n0,left,5",
            "0: left\n1: right",
            "'left'\n'right'",
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
        assert_eq!(of("3 pointers\ndribbling 2"), ["3 pointers", "dribbling 2"]);
        assert_eq!(of("step 1\nstep 0"), ["step 1", "step 0"]);
        assert_eq!(of("[something] falling\n[something] rising"), ["[something] falling", "[something] rising"]);
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
        assert!(complaint("0,left,train\n1,right,train", 2).contains("not one of them is called"));
        assert!(complaint("1,left\n0,right\n1,up", 3).contains("no column has the numbers from 0 to 2"));
        assert!(complaint("3 left\n2 right", 2).contains("numbers from 0 to 1"));
        assert!(complaint("a,b,name\n0,1,left\n1,0,right", 2).contains("several columns"));
        assert!(complaint("0,left\n1,right, then back", 2).contains("need quotes"));
        assert!(complaint("[\"left\", \"\"]", 2).contains("class 1 is empty"));
        assert!(complaint("\u{1b}[31mred\nblue", 2).contains("control characters"));
        assert!(complaint(&"x".repeat(2000), 1).contains("too long"));
    }
}
