//! Tables of growth as pictures: both axes logarithmic, for a light page and for a dark one.
//!
//! The tables are those of the page: `![title](benchmarks/FILE.svg)`, then a header whose first cell names the
//! axes, `Y by X`, and a row for each line of the picture.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

const SIZE: (u32, u32) = (980, 420);
/// Where the names of the lines begin: beside them, or they would lie on each other.
const NAMES_X: i32 = 690;
const FONT: &str = "system-ui, 'DejaVu Sans', sans-serif";
const INK: RGBColor = RGBColor(31, 35, 40);
const GRID: RGBColor = RGBColor(209, 217, 224);
/// Told apart on white and on black, and by those who see no red.
const LINES: [RGBColor; 8] = [
    RGBColor(9, 105, 218),
    RGBColor(191, 135, 0),
    RGBColor(130, 80, 223),
    RGBColor(27, 124, 131),
    RGBColor(207, 34, 46),
    RGBColor(232, 121, 196),
    RGBColor(125, 133, 144),
    RGBColor(110, 119, 30),
];
/// plotters writes colours as attributes, which a style sheet outdoes.
const DARK: &str = "<style>@media(prefers-color-scheme:dark){rect[fill=\"#FFFFFF\"]{fill:#0d1117}\
    text{fill:#e6edf3}[stroke=\"#1F2328\"]{stroke:#e6edf3}[stroke=\"#D1D9E0\"]{stroke:#2b323b}}</style>\n";

/// A table of growth.
struct Chart {
    title: String,
    file: String,
    y: String,
    x: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// The cells of a row of a table.
fn cells(row: &str) -> Option<Vec<&str>> {
    let inner = row.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// What stands before a spread.
fn number(cell: &str) -> Option<f64> {
    cell.split_whitespace().next()?.parse().ok()
}

/// The charts of a section.
fn charts(text: &str) -> Vec<Chart> {
    let mut charts: Vec<Chart> = Vec::new();
    let mut sizes: Vec<f64> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let picture = line.strip_prefix("![").and_then(|rest| rest.split_once("](benchmarks/"));
        if let Some((title, file)) = picture {
            let file = file.trim_end_matches(')').to_owned();
            let (y, x, lines) = (String::new(), String::new(), Vec::new());
            charts.push(Chart { title: title.to_owned(), file, y, x, lines });
            sizes.clear();
            open = true;
            continue;
        }
        let (Some(chart), Some(row)) = (charts.last_mut().filter(|_| open), cells(line)) else {
            // A table ends with the first line that is none of it.
            open &= sizes.is_empty();
            continue;
        };
        if let Some((y, x)) = row[0].split_once(" by ").filter(|_| sizes.is_empty()) {
            (chart.y, chart.x) = (y.to_owned(), x.to_owned());
            sizes = row[1..].iter().filter_map(|cell| number(cell)).collect();
        } else if !row[0].starts_with('-') {
            let values = row[1..].iter().map(|cell| number(cell));
            let points = sizes.iter().copied().zip(values);
            // Nothing has no logarithm.
            let points = points.filter_map(|(x, y)| Some((x, y.filter(|y| *y > 0.0)?))).collect();
            chart.lines.push((row[0].replace(['*', '`'], ""), points));
        }
    }
    charts
}

/// The powers of ten around some values.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values.fold((f64::MAX, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
    let low = 10_f64.powf(least.log10().floor());
    let high = 10_f64.powf(most.log10().ceil());
    low..if high > low { high } else { 10.0 * low }
}

/// `1,000` rather than `1000`; `0.1` as it is.
fn grouped(value: f64) -> String {
    let text = format!("{value}");
    if text.contains('.') {
        return text;
    }
    let mut grouped = String::new();
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn draw(chart: &Chart) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (root, names) = root.split_horizontally(NAMES_X);
        let points = || chart.lines.iter().flat_map(|(_, points)| points.iter().copied());
        // A little wider than the sizes, so that no point stands on an edge.
        let x = decades(points().map(|p| p.0));
        let y = decades(points().map(|p| p.1));
        let mut builder = ChartBuilder::on(&root);
        builder
            .caption(&chart.title, (FONT, 16).into_font().color(&INK))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(78);
        let mut area: ChartContext<'_, _, Cartesian2d<LogCoord<f64>, LogCoord<f64>>> =
            builder.build_cartesian_2d(x.log_scale(), y.log_scale())?;
        area.configure_mesh()
            .x_desc(&chart.x)
            .y_desc(&chart.y)
            .axis_desc_style((FONT, 13).into_font().color(&INK))
            .label_style((FONT, 12).into_font().color(&INK))
            .x_label_formatter(&|v| grouped(*v))
            .y_label_formatter(&|v| grouped(*v))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        let mut names_y = 50;
        for ((name, points), colour) in chart.lines.iter().zip(LINES.iter().cycle()) {
            let (colour, style) = (*colour, colour.stroke_width(2));
            area.draw_series(LineSeries::new(points.iter().copied(), style))?;
            area.draw_series(points.iter().map(|p| Circle::new(*p, 3, colour.filled())))?;
            let y = names_y;
            names.draw(&PathElement::new([(0, y), (18, y)], style))?;
            let font = (FONT, 12).into_font().color(&INK);
            names.draw(&Text::new(name.as_str(), (26, y - 6), font))?;
            names_y += 20;
        }
        root.present()?;
    }
    let end = svg.find('>').map_or(0, |at| at + 1);
    svg.insert_str(end, DARK);
    Ok(svg)
}

/// Draws every chart of a section into a folder.
pub(crate) fn run(section: &str, folder: &str) {
    let text = fs::read_to_string(section).expect("a section that was measured");
    for chart in charts(&text) {
        let file = Path::new(folder).join(&chart.file);
        let svg = draw(&chart).unwrap_or_else(|why| panic!("{}: {why}", chart.file));
        fs::write(file, svg).expect("a folder for pictures");
    }
}
