//! The report as one HTML page that needs nothing else.

use std::fmt::Write as _;

use super::ceilings::Ceiling;
use super::comparison::{Changed, Comparison, Verdict};
use super::merge::{Merged, MergedTable};
use super::roofline;
use super::rows::{BenchReport, Row};

/// The pages, with names in double braces where something goes.
const PAGE: &str = include_str!("report.html");
const MERGED_PAGE: &str = include_str!("merged.html");
const STYLE: &str = include_str!("report.css");
const HEADER: [&str; 9] =
    ["operation", "approximation", "variant", "ms", "GFLOP/s", "GB/s", "of ceiling", "error", "on the device"];

/// The page for a report, with its comparison with an older one if there is one.
pub fn html(report: &BenchReport, comparison: Option<&Comparison>) -> String {
    let adapter = &report.adapter;
    let made = report.made.as_ref().map_or(String::new(), |made| format!("<p>{}</p>", escaped(&made.line())));
    let driver = format!(
        "{} ({}, {}); orthoformer {}, wgpu {}",
        adapter.driver, adapter.backend, adapter.kind, adapter.orthoformer, adapter.wgpu
    );
    let ceilings: String = report.ceilings.named().map(|(name, ceiling)| tile(name, ceiling)).collect();
    let interrupted = match report.interrupted {
        true => format!("<p>Measuring was interrupted after {} rounds: rows or runs are missing.</p>", report.rounds),
        false => String::new(),
    };
    let plot = roofline::draw(report);
    let plot = plot.unwrap_or_else(|| "<p>There is none without the ceilings of multiply-adds and of memory.</p>".to_owned());
    let parts = [
        ("style", STYLE.to_owned()),
        ("adapter", escaped(&adapter.name)),
        ("driver", escaped(&driver)),
        ("clock", escaped(&format!("Times by {}.", adapter.clock))),
        ("made", made),
        ("wrong", wrong(report)),
        ("interrupted", interrupted),
        ("ceilings", ceilings),
        ("reasons", report.ceilings.named().map(reason).collect()),
        ("roofline", plot),
        ("legend", legend(report)),
        ("comparison", comparison.map_or(String::new(), comparison_table)),
        ("tables", tables(report)),
    ];
    filled(PAGE, &parts)
}

/// The page for several reports side by side.
pub fn merged_html(merged: &Merged) -> String {
    let item = |line: &String| format!("<li>{}</li>", escaped(line));
    let wrong: String = merged.wrong().iter().map(item).collect();
    let table = |table: &MergedTable| {
        let class = |column: usize| if column < 2 { " class=\"text\"" } else { "" };
        let cells = |name: &str, row: &[String]| {
            let cell = |(column, text): (usize, &String)| format!("<{name}{}>{}</{name}>", class(column), escaped(text));
            format!("<tr>{}</tr>", row.iter().enumerate().map(cell).collect::<String>())
        };
        let rows: String = table.rows.iter().map(|row| cells("td", row)).collect();
        let (title, header) = (escaped(&table.title), cells("th", &table.header));
        format!("<h2>{title}</h2><div class=\"wide\"><table><thead>{header}</thead><tbody>{rows}</tbody></table></div>")
    };
    let parts = [
        ("style", STYLE.to_owned()),
        ("count", merged.reports.len().to_string()),
        ("legend", merged.legend().iter().map(item).collect()),
        ("wrong", alarm(&wrong)),
        ("tables", merged.tables().iter().map(table).collect()),
    ];
    filled(MERGED_PAGE, &parts)
}

/// A page with its parts, in one way through it, so that nothing that was put in is taken for a name.
fn filled(mut rest: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        page.push_str(parts.iter().find(|(part, _)| *part == name).map_or("", |(_, text)| text));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What computes something wrong, ahead of everything else.
fn wrong(report: &BenchReport) -> String {
    let wrong = report.rows.iter().filter(|row| row.is_wrong());
    let line = |row: &Row| format!("<li>{}: {}</li>", escaped(&row.key().join(" ")), escaped(&row.status));
    alarm(&wrong.map(line).collect::<String>())
}

/// A box around the items of what is wrong; nothing where all is right.
fn alarm(items: &str) -> String {
    match items {
        "" => String::new(),
        _ => format!("<div class=\"alarm\"><b>Something is computed wrong</b><ul>{items}</ul></div>"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with three figures or so, and spaces between thousands.
pub(super) fn figures(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{number:.digits$}");
    if digits > 0 {
        return plain;
    }
    let count = plain.len();
    let spaced = |(place, digit): (usize, char)| {
        let gap = place > 0 && (count - place).is_multiple_of(3);
        gap.then_some('\u{202f}').into_iter().chain([digit])
    };
    plain.chars().enumerate().flat_map(spaced).collect()
}

fn tile(name: &str, ceiling: &Ceiling) -> String {
    match ceiling.value {
        Some(value) => {
            let unit = if ceiling.unit == "us" { "\u{b5}s" } else { &ceiling.unit };
            let spread = ceiling.spread().map_or(String::new(), |spread| format!(" \u{b1}\u{202f}{spread:.0}\u{202f}%"));
            let value = figures(value);
            format!("<div class=\"tile\"><b>{value} <small>{unit}{spread}</small></b><span>{name}</span></div>")
        }
        None => {
            let what = ceiling.status.split(": ").next().unwrap_or_default();
            format!("<div class=\"tile off\"><b>{}</b><span>{name}</span></div>", escaped(what))
        }
    }
}

/// Why there are no numbers in some tiles.
fn reason((name, ceiling): (&str, &Ceiling)) -> String {
    match ceiling.status.split_once(": ") {
        Some((what, why)) => format!("<p>{name} is {}: {}.</p>", escaped(what), escaped(why)),
        None => String::new(),
    }
}

fn legend(report: &BenchReport) -> String {
    let shown = |name: &str| report.rows.iter().any(|row| row.operation == name);
    let entry = |(name, colour): &(&str, plotters::style::RGBColor)| {
        let plotters::style::RGBColor(red, green, blue) = colour;
        format!("<span><i style=\"background:rgb({red},{green},{blue})\"></i>{name}</span>")
    };
    roofline::COLOURS.iter().filter(|(name, _)| shown(name)).map(entry).collect()
}

/// A table for each shape and batch.
fn tables(report: &BenchReport) -> String {
    let shown = report.shown();
    let mut places: Vec<(&str, u32)> = shown.iter().map(|row| (row.shape.as_str(), row.batch)).collect();
    places.dedup();
    let mut seen = Vec::new();
    places.retain(|place| {
        let new = !seen.contains(place);
        seen.push(*place);
        new
    });
    let mut text = String::new();
    for (shape, batch) in places {
        let sizes: Vec<String> = shape.split('x').map(escaped).collect();
        let said = match sizes.as_slice() {
            [frames, patches, channels, heads] => {
                format!("{frames} frames of {patches} patches, {channels} channels, {heads} heads")
            }
            _ => escaped(shape),
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "<h2>{} <small>{said}, batch {batch}</small></h2><div class=\"wide\"><table>", escaped(shape));
        let cell = |(number, name): (usize, &&str)| match number {
            0..3 | 6 => format!("<th class=\"text\">{name}</th>"),
            _ => format!("<th>{name}</th>"),
        };
        let header: String = HEADER.iter().enumerate().map(cell).collect();
        let rows = shown.iter().copied().filter(|row| row.shape == shape && row.batch == batch);
        let _ = write!(
            text,
            "<thead><tr>{header}</tr></thead><tbody>{}</tbody></table></div>",
            rows.map(table_row).collect::<String>()
        );
    }
    text
}

fn table_row(row: &Row) -> String {
    let class = match row {
        _ if row.is_stage() => " class=\"stage\"",
        _ if !row.is_ok() => " class=\"off\"",
        _ if row.best => " class=\"best\"",
        _ => "",
    };
    let (operation, stage) = row.operation.split_once('/').unwrap_or((&row.operation, ""));
    let names = match stage {
        "" => [operation, &row.approximation, &row.variant_and_chosen()].map(escaped),
        stage => [escaped(stage), String::new(), String::new()],
    };
    let names: String = names.iter().map(|name| format!("<td class=\"text\">{name}</td>")).collect();
    if !row.is_ok() {
        let wrong = if row.status.starts_with("wrong") { " wrong" } else { "" };
        return format!("<tr{class}>{names}<td class=\"why{wrong}\" colspan=\"6\">{}</td></tr>", escaped(&row.status));
    }
    let number = |number: Option<f64>| number.map_or(String::new(), figures);
    let percent = row.percent_of_ceiling.map_or(String::new(), |percent| {
        let width = percent.clamp(0.0, 100.0);
        let ceiling = escaped(row.ceiling.as_deref().unwrap_or(""));
        format!("<span class=\"bar\" title=\"{ceiling}\"><i style=\"width:{width:.1}%\"></i></span>{percent:.1}\u{202f}% <small>{ceiling}</small>")
    });
    format!(
        "<tr{class}>{names}<td>{} <small>IQR\u{202f}{}</small></td><td>{}</td><td>{}</td><td class=\"text\">{percent}</td><td>{}</td><td>{}</td></tr>",
        number(row.median_ms),
        number(row.iqr_ms),
        number(row.gflops),
        number(row.gbps),
        number(row.error),
        row.device_bytes.map_or(String::new(), |bytes| indicatif::HumanBytes(bytes).to_string()),
    )
}

fn comparison_table(comparison: &Comparison) -> String {
    let mut rows = String::new();
    // Stages only where they changed.
    let is_stage = |row: &Changed| row.operation.contains('/');
    let shown = comparison.rows.iter().filter(|row| matches!(row.verdict, Verdict::Faster | Verdict::Slower) || !is_stage(row));
    for row in shown {
        let verdict = row.verdict.name();
        let _ = write!(
            rows,
            "<tr><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td>\
             <td>{}</td><td>{}</td><td class=\"{verdict}\">{:.3}</td><td>{:.3} to {:.3}</td><td class=\"text {verdict}\">{verdict}</td></tr>",
            escaped(&row.operation),
            escaped(&row.shape),
            row.batch,
            escaped(&row.approximation),
            escaped(&row.variant),
            figures(row.old_ms),
            figures(row.new_ms),
            row.ratio,
            row.interval.low,
            row.interval.high,
        );
    }
    format!(
        "<h2>Against an older report <small>{}</small></h2><p>{}</p><div class=\"wide\"><table><thead><tr>\
         <th class=\"text\">operation</th><th class=\"text\">shape</th><th>batch</th>\
         <th class=\"text\">approximation</th><th class=\"text\">variant</th><th>old ms</th><th>new ms</th><th>ratio</th><th>interval</th>\
         <th class=\"text\">verdict</th></tr></thead><tbody>{rows}</tbody></table></div>",
        escaped(&comparison.old_adapter),
        comparison.notes().join(" "),
    )
}
