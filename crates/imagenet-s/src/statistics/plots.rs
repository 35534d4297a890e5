//! The numbers to look at: a page with the tables, charts (SVG) and maps (PNG).

use std::{io::Cursor, path::Path};

use image::{ImageFormat, Rgb, RgbImage};
use plotters::prelude::*;

use super::{PlaceMap, SplitStatistics, Statistics};
use crate::error::Error;

/// Width and height of a chart in pixels.
const CHART_PX: (u32, u32) = (720, 360);

/// Pixels of a place in a map.
const PLACE_PX: u32 = 5;

/// A colour for each split.
const COLORS: [RGBColor; 4] = [
    RGBColor(120, 120, 120),
    RGBColor(214, 126, 44),
    RGBColor(40, 100, 170),
    RGBColor(30, 140, 90),
];

/// A line of a chart.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Writes `statistics.html` and the charts and maps that it shows into a folder, and all numbers as
/// `statistics.json`.
///
/// # Errors
///
/// [`Error::Io`].
pub fn write_page(statistics: &Statistics, folder: &Path) -> Result<(), Error> {
    let mut pictures = Vec::new();
    for (name, chart) in charts(statistics) {
        write(&folder.join(name), chart.as_bytes())?;
        pictures.push(format!("<img src=\"{name}\" alt=\"{name}\">\n"));
    }
    for split in statistics.splits.iter().filter(|split| split.masks > 0) {
        for (what, map) in [("objects", &split.objects), ("contours", &split.contours)] {
            let name = format!("{what}-{}.png", split.split.name());
            write(&folder.join(&name), &map_png(map, split.masks))?;
            pictures.push(map_figure(&name, what, map, split));
        }
    }
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>statistics</title>\n\
         <body style=\"font-family: sans-serif; max-width: 60em; margin: 2em auto\">\n\
         <pre>{statistics}</pre>\n{}</body></html>\n",
        pictures.concat()
    );
    write(&folder.join("statistics.html"), page.as_bytes())?;
    let numbers = serde_json::to_string_pretty(statistics).expect("numbers and texts");
    write(&folder.join("statistics.json"), numbers.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    whole_file::write_bytes(path, bytes).map_err(Error::io(path))
}

fn map_figure(name: &str, what: &str, map: &PlaceMap, split: &SplitStatistics) -> String {
    let most = map.pictures.iter().max().copied().unwrap_or(0);
    let percent = 100.0 * most as f64 / split.masks as f64;
    format!(
        "<figure style=\"display: inline-block\"><img src=\"{name}\" alt=\"{name}\"><figcaption>\
         {what}, {}: yellow is {percent:.0} % of the pictures</figcaption></figure>\n",
        split.split.name()
    )
}

fn charts(statistics: &Statistics) -> Vec<(&'static str, String)> {
    let lines = |points: &dyn Fn(&SplitStatistics) -> Vec<(f64, f64)>, masks: bool| {
        let splits = statistics
            .splits
            .iter()
            .filter(|split| split.masks > 0 || !masks);
        splits
            .map(|split| Line {
                name: split.split.name(),
                color: COLORS[split.split as usize],
                points: points(split),
            })
            .filter(|line| !line.points.is_empty())
            .collect::<Vec<_>>()
    };
    let pictures =
        |split: &SplitStatistics| ranked(split.classes.iter().map(|class| class.pictures));
    let pixels = |split: &SplitStatistics| ranked(split.classes.iter().map(|class| class.pixels));
    let all = [
        (
            "class-pictures.svg",
            ["pictures of each class", "rank", "% of the split"],
            lines(&pictures, false),
        ),
        (
            "class-pixels.svg",
            ["pixels of each class", "rank", "% of all objects"],
            lines(&pixels, true),
        ),
        (
            "object-sizes.svg",
            ["sizes of objects", "% of the picture", "% of the objects"],
            lines(&sizes, true),
        ),
    ];
    let drawn = all.into_iter().filter(|(_, _, lines)| !lines.is_empty());
    drawn
        .map(|(name, texts, lines)| (name, chart(texts, &lines)))
        .collect()
}

/// The shares of the classes that occur, most frequent first, so that splits can be compared.
fn ranked(counts: impl Iterator<Item = u64>) -> Vec<(f64, f64)> {
    let mut counts: Vec<u64> = counts.filter(|&count| count > 0).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let all: u64 = counts.iter().sum();
    let places = (1..).map(f64::from).zip(counts);
    places
        .map(|(rank, count)| (rank, 100.0 * count as f64 / all as f64))
        .collect()
}

/// In steps of 5 % of the picture.
fn sizes(split: &SplitStatistics) -> Vec<(f64, f64)> {
    let objects: u64 = split.object_sizes.iter().sum();
    let steps = split.object_sizes.chunks(5).enumerate();
    let share = |step: &[u64]| 100.0 * step.iter().sum::<u64>() as f64 / objects.max(1) as f64;
    steps
        .map(|(at, step)| (5.0 * at as f64 + 2.5, share(step)))
        .collect()
}

fn chart([title, x, y]: [&str; 3], lines: &[Line]) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, CHART_PX).into_drawing_area();
    draw(&area, [title, x, y], lines).expect("a string takes everything");
    drop(area);
    svg
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    [title, x, y]: [&str; 3],
    lines: &[Line],
) -> Drawn {
    area.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|line| &line.points);
    let left = points().map(|point| point.0).fold(f64::MAX, f64::min);
    let right = points().map(|point| point.0).fold(left + 1.0, f64::max);
    let top = 1.05 * points().map(|point| point.1).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(54)
        .build_cartesian_2d(left..right, 0.0..top.max(f64::MIN_POSITIVE))?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|x| format!("{x}"))
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for line in lines {
        let color = line.color;
        chart
            .draw_series(LineSeries::new(
                line.points.iter().copied(),
                color.stroke_width(2),
            ))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

/// From dark blue for no picture to yellow for the most.
fn map_png(map: &PlaceMap, pictures: u64) -> Vec<u8> {
    let most = map
        .pictures
        .iter()
        .max()
        .copied()
        .unwrap_or(0)
        .clamp(1, pictures);
    let side = PlaceMap::SIDE as u32;
    let png = RgbImage::from_fn(side * PLACE_PX, side * PLACE_PX, |x, y| {
        let place = (y / PLACE_PX * side + x / PLACE_PX) as usize;
        heat(map.pictures[place] as f64 / most as f64)
    });
    let mut bytes = Cursor::new(Vec::new());
    png.write_to(&mut bytes, ImageFormat::Png)
        .expect("memory takes everything");
    bytes.into_inner()
}

/// A colour for a share in `0..=1`, brighter for more, also to the colour-blind.
fn heat(share: f64) -> Rgb<u8> {
    const STOPS: [[f64; 3]; 4] = [
        [20.0, 11.0, 53.0],
        [132.0, 32.0, 107.0],
        [229.0, 92.0, 48.0],
        [252.0, 255.0, 164.0],
    ];
    let place = share.clamp(0.0, 1.0) * 3.0;
    let low = (place as usize).min(2);
    let blend = |channel: usize| {
        let (a, b) = (STOPS[low][channel], STOPS[low + 1][channel]);
        (a + (b - a) * (place - low as f64)).round() as u8
    };
    Rgb([blend(0), blend(1), blend(2)])
}
