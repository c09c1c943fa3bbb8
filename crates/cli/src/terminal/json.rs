//! JSON with a field a line, and numbers of a list in one: a benchmark has thousands of them.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// A report as JSON.
pub fn pretty(report: &impl Serialize) -> serde_json::Result<String> {
    let mut text = Vec::new();
    report.serialize(&mut Serializer::with_formatter(&mut text, Lines::default()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Breaks lines ahead of fields, and ahead of what is no number or text in lists.
#[derive(Default)]
struct Lines {
    /// For each object or list that is open, whether anything in it begins a line.
    open: Vec<bool>,
    /// Whether the next value is one of a list.
    in_list: bool,
}

impl Lines {
    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> Result<()> {
        writer.write_all(b"\n")?;
        (0..self.open.len()).try_for_each(|_| writer.write_all(b"  "))
    }

    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        if std::mem::take(&mut self.in_list) {
            self.break_line(writer)?;
        }
        self.open.push(false);
        writer.write_all(bracket)
    }

    fn break_line<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        if let Some(has_lines) = self.open.last_mut() {
            *has_lines = true;
        }
        self.new_line(writer)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.in_list = false;
        if self.open.pop() == Some(true) {
            self.new_line(writer)?;
        }
        writer.write_all(bracket)
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.in_list = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.break_line(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.in_list = false;
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lists_of_numbers_are_one_line_and_everything_else_has_its_own() {
        let report = json!({"a": [1, 2.5, null], "b": [], "c": {}, "d": [{"e": ["x", "y"]}, [3, [4]]]});
        let text = pretty(&report).expect("serialises");
        let expected = r#"{
  "a": [1,2.5,null],
  "b": [],
  "c": {},
  "d": [
    {
      "e": ["x","y"]
    },
    [3,
      [4]
    ]
  ]
}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), report);
    }
}
