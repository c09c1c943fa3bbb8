//! Error against cost, as SVG.

use std::path::Path;

use orthoformer::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::compare::{ClipReport, Report};
use crate::study::{Method, Row};

/// Width and height of one chart, and width of the legend, pixels.
const CHART: (u32, u32) = (560, 400);
const LEGEND: u32 = 170;
const FONT: &str = "sans-serif";

/// Colours that stay apart for colour-blind readers (Okabe and Ito), in the order of [`Method::ALL`].
const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(130, 130, 130),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(120, 60, 160),
];
const EXACT: RGBColor = BLACK;

/// A cost to plot errors against.
struct Cost {
    name: &'static str,
    of: fn(&Row) -> f64,
}

const COSTS: [Cost; 2] = [
    Cost { name: "multiply-adds, millions", of: |row| row.multiply_adds as f64 / 1e6 },
    Cost { name: "scratch memory, MiB (exact attention takes none)", of: |row| row.scratch_bytes as f64 / f64::from(1 << 20) },
];

/// Two charts for each clip: token error against multiply-adds, and against scratch memory. `path` is for messages.
pub(super) fn draw(report: &Report, path: &Path) -> Result<String> {
    let mut svg = String::new();
    let size = (CHART.0 * COSTS.len() as u32 + LEGEND, CHART.1 * report.clips.len() as u32);
    let drawn = draw_all(SVGBackend::with_string(&mut svg, size), report);
    drawn.map_err(|error| Error::Contents { path: path.to_owned(), reason: format!("cannot be drawn: {error}") })?;
    Ok(svg)
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_all(backend: SVGBackend, report: &Report) -> Drawn {
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let (charts, legend) = root.split_horizontally(CHART.0 * COSTS.len() as u32);
    let areas = charts.split_evenly((report.clips.len(), COSTS.len()));
    for (clip, areas) in report.clips.iter().zip(areas.chunks(COSTS.len())) {
        for (cost, area) in COSTS.iter().zip(areas) {
            draw_chart(area, clip, cost)?;
        }
    }
    draw_legend(&legend)?;
    root.present()?;
    Ok(())
}

fn draw_legend(area: &Area) -> Drawn {
    let methods = Method::ALL.into_iter().map(Method::name).zip(COLOURS);
    for (number, (name, colour)) in methods.chain([("exact", EXACT)]).enumerate() {
        let y = 40 + 20 * number as i32;
        area.draw(&PathElement::new(vec![(0, y), (20, y)], colour.stroke_width(2)))?;
        area.draw(&Text::new(name, (28, y - 6), (FONT, 13)))?;
    }
    Ok(())
}

fn draw_chart(area: &Area, clip: &ClipReport, cost: &Cost) -> Drawn {
    // Costs are drawn by their logarithm to base two, as counts double from row to row.
    let points = |method: Method| -> Vec<(f64, f64)> {
        let rows = clip.rows.iter().filter(|row| row.method == Some(method));
        let points = rows.map(|row| ((cost.of)(row).log2(), row.token_error));
        points.filter(|(cost, error)| cost.is_finite() && error.is_finite()).collect()
    };
    let all: Vec<(f64, f64)> = Method::ALL.into_iter().flat_map(points).collect();
    let exact =
        clip.rows.iter().find(|row| row.method.is_none()).map(|row| (cost.of)(row).log2()).filter(|cost| cost.is_finite());
    let costs = all.iter().map(|point| point.0).chain(exact);
    let (low, high) = costs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), cost| (low.min(cost), high.max(cost)));
    let (low, high) = if low < high { (low - 0.3, high + 0.3) } else { (0.0, 1.0) };
    let largest = all.iter().map(|point| point.1).fold(0.1, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: error of the trajectory tokens", clip.clip), (FONT, 15))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(low..high, 0.0..largest)?;
    chart
        .configure_mesh()
        .x_desc(cost.name)
        .y_desc("relative error")
        .x_label_formatter(&|cost| rounded(cost.exp2()))
        .y_label_formatter(&|error| format!("{error:.1}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    for (method, colour) in Method::ALL.into_iter().zip(COLOURS) {
        chart.draw_series(LineSeries::new(points(method), colour.stroke_width(2)))?;
        chart.draw_series(points(method).into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    if let Some(exact) = exact {
        chart.draw_series(LineSeries::new([(exact, 0.0), (exact, largest)], EXACT.stroke_width(1)))?;
    }
    Ok(())
}

/// A number with two figures or so.
fn rounded(number: f64) -> String {
    match number {
        _ if number >= 10.0 => format!("{number:.0}"),
        _ if number >= 1.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
