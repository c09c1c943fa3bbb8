//! Tables that fit a terminal, and no word of them broken.
//!
//! Where columns are few, a table first loses the columns that matter least, then breaks cells between words. Where that is not enough, each
//! row becomes a block of lines `name: value`.

use comfy_table::{ColumnConstraint, Width, presets};
use unicode_width::UnicodeWidthStr as _;

/// Cells up to this width are not broken as long as columns can be left out instead.
const UNBROKEN: usize = 28;
/// Indentation of what does not fit on the first line.
const INDENT: usize = 2;

/// Rows under a header.
pub struct Table {
    title: Option<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    /// Columns that may be left out, those that matter least first, and what has them all the same.
    least: &'static [&'static str],
    elsewhere: &'static str,
    /// Whether rows are names and values, and the header is the first of them.
    is_list: bool,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|name| one_line(name)).collect();
        let (rows, notes) = (Vec::new(), Vec::new());
        Self { title: None, header, rows, notes, least: &[], elsewhere: "", is_list: false }
    }

    /// A table of names and values.
    pub fn list(name: &str, value: &str) -> Self {
        Self { is_list: true, ..Self::new(&[name, value]) }
    }

    /// With a line above it.
    pub fn titled(self, title: String) -> Self {
        Self { title: Some(title), ..self }
    }

    /// With columns that may be left out, those that matter least first. `elsewhere` says what has them all the same.
    pub fn least(self, least: &'static [&'static str], elsewhere: &'static str) -> Self {
        Self { least, elsewhere, ..self }
    }

    pub fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(cell.as_ref())).collect());
    }

    /// Adds a line below the table.
    pub fn add_note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table without the columns of these names, if it fits. Cells up to `unbroken` are not broken.
    fn boxed(&self, without: &[&str], unbroken: usize, width: usize) -> Option<String> {
        let is_kept = |(_, name): &(usize, &String)| !without.contains(&name.as_str());
        let kept: Vec<usize> = self.header.iter().enumerate().filter(is_kept).map(|(column, _)| column).collect();
        let full: Vec<usize> = kept.iter().map(|&column| self.widest(column, |cell| cell.width())).collect();
        let longest_word = |cell: &str| cell.split(' ').map(|word| word.width()).max().unwrap_or(0);
        let least = kept.iter().zip(&full).map(|(&column, &full)| self.widest(column, longest_word).max(full.min(unbroken)));
        let mut widths: Vec<usize> = least.collect();
        // A border or a gap on both sides of each cell, and two spaces within.
        let left = width.checked_sub(1 + 3 * kept.len())?.checked_sub(widths.iter().sum())?;
        widen(&mut widths, &full, left);
        let pick =
            |row: &[String]| -> Vec<String> { kept.iter().map(|&column| row.get(column).cloned().unwrap_or_default()).collect() };
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_header(pick(&self.header));
        table.add_rows(self.rows.iter().map(|row| pick(row)));
        let fixed = |width: usize| ColumnConstraint::Absolute(Width::Fixed(u16::try_from(width + 2).unwrap_or(u16::MAX)));
        table.set_constraints(widths.into_iter().map(fixed));
        Some(self.framed([table.to_string()], width))
    }

    /// Whether a column has nothing in it, or is not there.
    fn is_empty_column(&self, name: &str) -> bool {
        let column = self.header.iter().position(|own| own == name);
        column.is_none_or(|column| self.rows.iter().all(|row| row.get(column).is_none_or(String::is_empty)))
    }

    /// The largest measure of a column's cells, its name among them; at least one.
    fn widest(&self, column: usize, measure: impl Fn(&str) -> usize) -> usize {
        let cells = std::iter::once(&self.header).chain(&self.rows).filter_map(|row| row.get(column));
        cells.map(|cell| measure(cell)).max().unwrap_or(0).max(1)
    }

    /// A block of lines for each row.
    fn turned(&self, width: usize) -> String {
        let named = |name: &str, value: &str| match value {
            "" => wrapped(name, width),
            value => wrapped(&format!("{name}: {value}"), width),
        };
        if self.is_list {
            let rows = std::iter::once(&self.header).chain(&self.rows);
            return self.framed(rows.filter_map(|row| Some(named(row.first()?, row.get(1)?))), width);
        }
        let block = |row: &Vec<String>| {
            let cells = self.header.iter().zip(row).filter(|(_, value)| !value.is_empty());
            cells.map(|(name, value)| named(name, value)).chain([String::new()]).collect::<Vec<_>>().join("\n")
        };
        self.framed(self.rows.iter().map(block), width)
    }

    /// Lines between the title and the notes.
    fn framed(&self, lines: impl IntoIterator<Item = String>, width: usize) -> String {
        let title = self.title.iter().map(|title| wrapped(title, width));
        let notes = self.notes.iter().map(|note| wrapped(note, width));
        title.chain(lines).chain(notes).collect::<Vec<_>>().join("\n")
    }
}

/// Tables with the same columns, one below the other, in this width; as wide as they are where there is none.
pub fn layout(tables: &[Table], width: Option<usize>) -> String {
    let Some(width) = width else {
        let whole = tables.iter().filter_map(|table| table.boxed(&[], usize::MAX, usize::MAX));
        return whole.collect::<Vec<_>>().join("\n");
    };
    let (least, elsewhere) = tables.first().map_or((&[][..], ""), |table| (table.least, table.elsewhere));
    // What is empty goes first.
    let is_empty = |name: &&str| tables.iter().all(|table| table.is_empty_column(name));
    let least: Vec<&str> =
        least.iter().copied().filter(is_empty).chain(least.iter().copied().filter(|name| !is_empty(name))).collect();
    let tries = (0..=least.len()).map(|count| (count, UNBROKEN)).chain([(least.len(), 0)]);
    for (count, unbroken) in tries {
        let without = least.get(..count).unwrap_or_default();
        let boxed: Option<Vec<String>> = tables.iter().map(|table| table.boxed(without, unbroken, width)).collect();
        let Some(mut lines) = boxed else { continue };
        if !without.is_empty() {
            let said = format!("columns left out at this width: {}; {elsewhere}", without.join(", "));
            lines.push(wrapped(&said, width));
        }
        return lines.join("\n");
    }
    tables.iter().map(|table| table.turned(width)).collect::<Vec<_>>().join("\n")
}

/// A text whose lines are at most this wide, broken between words; only a word that is wider by itself sticks out.
pub fn wrapped(text: &str, width: usize) -> String {
    text.lines().map(|line| wrapped_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let (mut text, mut used) = (String::new(), 0);
    // Spaces ahead of a word are part of a layout, such as of numbers below each other, as long as the line goes on.
    let mut left = line;
    while let Some(start) = left.find(|letter: char| !letter.is_whitespace()) {
        let (spaces, rest) = left.split_at(start);
        let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        left = after;
        let size = word.width();
        if used + start + size <= width {
            text.push_str(spaces);
            used += start;
        } else if used > 0 {
            used = if INDENT + size <= width { INDENT } else { 0 };
            text.push('\n');
            text.push_str(&" ".repeat(used));
        }
        text.push_str(word);
        used += size;
    }
    text
}

/// Gives what is left to the columns whose cells are cut most.
fn widen(widths: &mut [usize], full: &[usize], left: usize) {
    for _ in 0..left {
        let cut = widths.iter_mut().zip(full).filter(|(width, full)| **width < **full);
        let Some((width, _)) = cut.max_by_key(|(width, full)| **full - **width) else { return };
        *width += 1;
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [usize; 5] = [40, 60, 80, 100, 200];
    const NOTE: &str = "columns left out at this width: ";

    /// Rows as `bench` has them.
    fn sample() -> Table {
        let header = ["operation", "variant", "ms", "IQR", "GFLOP/s", "GB/s", "of ceiling", "ceiling", "device"];
        let least = &["device", "ceiling", "IQR", "GB/s", "GFLOP/s"];
        let mut table = Table::new(&header).titled("8x196x768x12, batch 1, exact".to_owned()).least(least, "--json has all");
        let numbers = ["12345.678", "123.456", "1234.56", "123.45", "87.6 %", "cooperative matrix", "123.45 MiB"];
        for operation in ["layer", "layer/trajectory tokens", "trajectories/stage of many long words"] {
            table.add_row([[operation, "cooperative-f16 *"].as_slice(), &numbers].concat());
        }
        table.add_note("prototypes as tiles: [unsupported] the adapter has no subgroups of one size".to_owned());
        table
    }

    /// Names of the columns that a text says are left out.
    fn left_out(text: &str) -> Vec<String> {
        let said = text.split_once(NOTE).map_or("", |(_, rest)| rest.split(';').next().unwrap_or(""));
        let one_line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        one_line.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Every word of the kept cells, the title and the notes is there as a whole, and no line is too wide.
    fn check(table: &Table, text: &str, width: usize) {
        for line in text.lines() {
            assert!(line.width() <= width, "{} columns in {width}:\n{text}", line.width());
        }
        let words: Vec<&str> = text.split_whitespace().flat_map(|word| [word, word.trim_end_matches(':')]).collect();
        let left_out = left_out(text);
        let kept = |row: &[String]| {
            let cells = table.header.iter().zip(row).filter(|(name, _)| !left_out.contains(name));
            cells.map(|(_, cell)| cell.clone()).collect::<Vec<_>>()
        };
        let rows = table.rows.iter().chain([&table.header]).flat_map(|row| kept(row));
        for word in rows.chain(table.title.clone()).chain(table.notes.clone()).flat_map(|cell| words_of(&cell)) {
            assert!(words.contains(&word.as_str()), "{word:?} is broken at {width}:\n{text}");
        }
    }

    fn words_of(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_broken() {
        for width in WIDTHS {
            check(&sample(), &layout(&[sample()], Some(width)), width);
        }
    }

    #[test]
    fn columns_are_left_out_in_their_order_then_the_layout_turns() {
        let at = |width| layout(&[sample()], width);
        assert!(left_out(&at(None)).is_empty() && at(None).contains("trajectories/stage of many long words "));
        assert!(left_out(&at(Some(200))).is_empty(), "{}", at(Some(200)));
        let wide = left_out(&at(Some(100)));
        let narrow = left_out(&at(Some(80)));
        assert!(!wide.is_empty() && wide.len() < narrow.len(), "{wide:?} {narrow:?}");
        assert_eq!(narrow, ["device", "ceiling", "IQR", "GB/s", "GFLOP/s"][..narrow.len()]);
        assert!(at(Some(80)).contains('┌') && at(Some(80)).contains("--json"), "{}", at(Some(80)));
        let turned = at(Some(40));
        assert!(!turned.contains('┌') && left_out(&turned).is_empty(), "{turned}");
        assert!(turned.contains("\nms: 12345.678\n") && turned.contains("\ndevice: 123.45 MiB\n"), "{turned}");
    }

    #[test]
    fn tables_that_belong_together_have_the_same_columns() {
        let mut short = Table::new(&["operation", "device"]);
        short.add_row(["layer", "1 MiB"]);
        let text = layout(&[sample(), short], Some(80));
        assert!(!text.contains("1 MiB"), "{text}");
        assert_eq!(text.matches(NOTE).count(), 1, "{text}");
    }

    #[test]
    fn lists_turn_into_lines() {
        let mut list = Table::list("0", "llvmpipe (LLVM 15.0.6, 256 bits)");
        list.add_row(["max_compute_workgroups_per_dimension", "65535"]);
        list.add_row(["kernels run", "no: the adapter has too few of what every kernel needs of an adapter"]);
        for width in WIDTHS {
            check(&list, &layout(std::slice::from_ref(&list), Some(width)), width);
        }
        let narrow = layout(&[list], Some(40));
        assert!(narrow.starts_with("0: llvmpipe (LLVM 15.0.6, 256 bits)\n"), "{narrow}");
        assert!(narrow.contains("\n  65535") || narrow.contains(": 65535"), "{narrow}");
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("what fits stays  as it is", 25), "what fits stays  as it is");
        assert_eq!(wrapped("one two three\nfour", 9), "one two\n  three\nfour");
        assert_eq!(wrapped("a word_that_is_wider b", 8), "a\nword_that_is_wider\n  b");
    }
}
