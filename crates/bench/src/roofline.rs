//! The roofline plot: rates against operations a byte, under the adapter's ceilings.

use orthoformer::plan::Element;
use plotters::prelude::*;

use super::ceilings::CeilingKind;
use super::rows::{BenchReport, Row};

/// Width and height, pixels.
const SIZE: (u32, u32) = (920, 520);
const FONT: &str = "sans-serif";
/// A grey that can be read on light and on dark.
const INK: RGBColor = RGBColor(125, 130, 138);
/// The roof of float16.
const HALF: RGBColor = RGBColor(86, 180, 233);

/// Colours that stay apart for colour-blind readers (Okabe and Ito), on light and on dark; one an operation, in the order of [`super::BenchOperation::ALL`].
pub(super) const COLOURS: [(&str, RGBColor); 5] = [
    ("trajectories", RGBColor(213, 94, 0)),
    ("attention", RGBColor(230, 159, 0)),
    ("prototypes", RGBColor(204, 121, 167)),
    ("layer", RGBColor(0, 114, 178)),
    ("linear", RGBColor(0, 158, 115)),
];

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// What multiply-adds reach, and bytes.
struct Roof {
    name: String,
    /// GFLOP/s.
    peak: f64,
    /// GB/s.
    bandwidth: f64,
    style: ShapeStyle,
}

/// Draws the plot, on no background. `None` where there is nothing to draw: neither ceilings nor rows.
pub(super) fn draw(report: &BenchReport) -> Option<String> {
    let points: Vec<Point<'_>> = report.shown().into_iter().filter(|row| !row.is_stage()).filter_map(Point::of).collect();
    let bandwidth = report.ceilings.value(CeilingKind::MemoryCopy)?;
    let roof = |element: Element, style: ShapeStyle| {
        let (name, peak) = report.ceilings.arithmetic(element)?;
        Some(Roof { name: name.to_owned(), peak, bandwidth, style })
    };
    let mut roofs = vec![roof(Element::F32, INK.stroke_width(2))?];
    // Float16 has a roof of its own where anything stands under it.
    if points.iter().any(|point| point.row.is_half()) {
        let half = roof(Element::F16, HALF.stroke_width(2)).filter(|half| roofs.iter().all(|other| half.peak > other.peak));
        roofs.extend(half.map(|half| Roof { name: format!("float16: {}", half.name), ..half }));
    }
    let mut svg = String::new();
    draw_all(SVGBackend::with_string(&mut svg, SIZE), &points, &roofs).ok()?;
    Some(svg)
}

/// A row in the plot: operations a byte, and GFLOP/s.
struct Point<'r> {
    row: &'r Row,
    intensity: f64,
    rate: f64,
}

impl<'r> Point<'r> {
    fn of(row: &'r Row) -> Option<Self> {
        let (intensity, rate) = (row.operations as f64 / row.bytes as f64, row.gflops?);
        let drawn = |number: f64| number.is_finite() && number > 0.0;
        (drawn(intensity) && drawn(rate)).then_some(Self { row, intensity, rate })
    }
}

fn draw_all(backend: SVGBackend, points: &[Point<'_>], roofs: &[Roof]) -> Drawn {
    let root = backend.into_drawing_area();
    let bounds = |of: fn(&Point<'_>) -> f64, also: fn(&Roof) -> f64| {
        let all = points.iter().map(of).chain(roofs.iter().map(also));
        all.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), number| (low.min(number), high.max(number)))
    };
    let (left, right) = bounds(|point| point.intensity, |roof| roof.peak / roof.bandwidth);
    let (bottom, top) = bounds(|point| point.rate, |roof| roof.peak);
    let (left, right, bottom, top) = (left / 2.0, right * 2.0, bottom / 2.0, top * 2.0);
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right).log_scale().base(2.0), (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("operations a byte")
        .y_desc("GFLOP/s")
        .x_label_formatter(&|number| rounded(*number))
        .y_label_formatter(&|number| rounded(*number))
        .label_style((FONT, 13, &INK))
        .axis_desc_style((FONT, 14, &INK))
        .axis_style(INK)
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.25))
        .draw()?;
    let label = |text: String, place: (f64, f64), offset: (i32, i32)| {
        EmptyElement::at(place) + Text::new(text, offset, (FONT, 13).into_font().color(&INK))
    };
    for Roof { name, peak, bandwidth, style } in roofs {
        let ridge = peak / bandwidth;
        // Where the slope comes in: from the left, or from below.
        let foot = left.max(bottom / bandwidth);
        chart.draw_series(LineSeries::new([(foot, foot * bandwidth), (ridge, *peak), (right, *peak)], *style))?;
        chart.draw_series([label(format!("{name}, {} GFLOP/s", rounded(*peak)), (ridge, *peak), (4, -18))])?;
    }
    if let Some(Roof { bandwidth, .. }) = roofs.first() {
        let foot = left.max(bottom / bandwidth);
        chart.draw_series([label(format!("memory copy, {} GB/s", rounded(*bandwidth)), (foot, foot * bandwidth), (14, 8))])?;
    }
    // What would be used comes last, on top of the rest.
    let (best, others): (Vec<_>, Vec<_>) = points.iter().partition(|point| point.row.best);
    for Point { row, intensity, rate } in others.into_iter().chain(best) {
        let colour = COLOURS.iter().find(|(name, _)| *name == row.operation).map_or(INK, |(_, colour)| *colour);
        let colour = colour.mix(if row.best { 1.0 } else { 0.3 });
        let style = if row.approximation == "exact" { colour.filled() } else { colour.stroke_width(2) };
        let place = (*intensity, *rate);
        match row.is_half() {
            true => chart.draw_series([TriangleMarker::new(place, 6, style)]).map(drop)?,
            false => chart.draw_series([Circle::new(place, 5, style)]).map(drop)?,
        }
    }
    root.present()?;
    Ok(())
}

/// A number with two figures or so.
fn rounded(number: f64) -> String {
    match number {
        _ if number >= 10.0 => format!("{number:.0}"),
        _ if number >= 1.0 && number.fract() < 0.05 => format!("{number:.0}"),
        _ if number >= 1.0 => format!("{number:.1}"),
        _ if number >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}
