//! The roofline plot: rates against operations a byte, under the adapter's ceilings.

use plotters::prelude::*;

use super::rows::{BenchReport, Row};

/// Width and height, pixels.
const SIZE: (u32, u32) = (920, 520);
const FONT: &str = "sans-serif";
/// A grey that can be read on light and on dark.
const INK: RGBColor = RGBColor(125, 130, 138);

/// Colours that stay apart for colour-blind readers (Okabe and Ito), on light and on dark; one an operation, in the order of [`super::BenchOperation::ALL`].
pub(super) const COLOURS: [(&str, RGBColor); 5] = [
    ("trajectories", RGBColor(213, 94, 0)),
    ("attention", RGBColor(230, 159, 0)),
    ("prototypes", RGBColor(204, 121, 167)),
    ("layer", RGBColor(0, 114, 178)),
    ("linear", RGBColor(0, 158, 115)),
];

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws the plot, on no background. `None` where there is nothing to draw: neither ceilings nor rows.
pub(super) fn draw(report: &BenchReport) -> Option<String> {
    let points: Vec<Point<'_>> = report.rows.iter().filter(|row| !row.is_stage()).filter_map(Point::of).collect();
    let peak = report.ceilings.multiply_add_f32.value?;
    let bandwidth = report.ceilings.memory_copy.value?;
    let mut svg = String::new();
    draw_all(SVGBackend::with_string(&mut svg, SIZE), &points, peak, bandwidth).ok()?;
    Some(svg)
}

/// A row in the plot, by the logarithms to base ten of its operations a byte and of its rate.
struct Point<'r> {
    row: &'r Row,
    intensity: f64,
    rate: f64,
}

impl<'r> Point<'r> {
    fn of(row: &'r Row) -> Option<Self> {
        let (intensity, rate) = ((row.operations as f64 / row.bytes as f64).log10(), row.gflops?.log10());
        (intensity.is_finite() && rate.is_finite()).then_some(Self { row, intensity, rate })
    }
}

fn draw_all(backend: SVGBackend, points: &[Point<'_>], peak: f64, bandwidth: f64) -> Drawn {
    let root = backend.into_drawing_area();
    let ridge = (peak / bandwidth).log10();
    let bounds = |of: fn(&Point<'_>) -> f64, also: f64| {
        let all = points.iter().map(of).chain([also]);
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)))
    };
    let (left, right) = bounds(|point| point.intensity, ridge);
    let (bottom, top) = bounds(|point| point.rate, peak.log10());
    let (left, right, bottom, top) = (left - 0.4, right + 0.4, bottom - 0.3, top + 0.25);
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(left..right, bottom..top)?;
    let label = |text: &f64| power(*text);
    chart
        .configure_mesh()
        .x_desc("operations a byte")
        .y_desc("GFLOP/s")
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .label_style((FONT, 13, &INK))
        .axis_desc_style((FONT, 14, &INK))
        .axis_style(INK)
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.25))
        .draw()?;
    let slope = |intensity: f64| intensity + bandwidth.log10();
    let roof = [(left, slope(left)), (ridge, peak.log10()), (right, peak.log10())];
    chart.draw_series(LineSeries::new(roof.into_iter().filter(|point| point.1 > bottom).chain([]), INK.stroke_width(2)))?;
    for Point { row, intensity, rate } in points {
        let colour = COLOURS.iter().find(|(name, _)| *name == row.operation).map_or(INK, |(_, colour)| *colour);
        let style = if row.approximation == "exact" { colour.filled() } else { colour.stroke_width(2) };
        chart.draw_series([Circle::new((*intensity, *rate), 5, style)])?;
    }
    root.present()?;
    Ok(())
}

/// A number by its logarithm to base ten.
fn power(logarithm: f64) -> String {
    let number = 10f64.powf(logarithm);
    match number {
        _ if number >= 10.0 => format!("{number:.0}"),
        _ if number >= 1.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
