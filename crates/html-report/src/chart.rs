//! Line charts as SVG.

use std::{error::Error, ops::Range};

use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::escape;

/// Size of a drawing, whose units are whole numbers; the page scales it.
const SIZE: (u32, u32) = (960, 500);
/// Room around the lines: on all sides, below them and left of them.
const MARGIN: u32 = 24;
const BELOW: u32 = 76;
const LEFT: u32 = 156;
/// More points than this are drawn as means of neighbours within a band of their extremes.
const MOST_POINTS: usize = 200;
/// Colours of the lines; more series repeat them, dashed. The style sheet replaces these by its own,
/// which suit light and dark pages.
const COLORS: [RGBColor; 8] = [
    RGBColor(0x1f, 0x6f, 0xd1),
    RGBColor(0xe0, 0x70, 0x2a),
    RGBColor(0x2a, 0x9a, 0x5b),
    RGBColor(0x8a, 0x4f, 0xc7),
    RGBColor(0xc8, 0x32, 0x5a),
    RGBColor(0x0d, 0x93, 0xa3),
    RGBColor(0x9a, 0x7b, 0x16),
    RGBColor(0x69, 0x70, 0x7a),
];
/// Lines of the grid, and what marks a position; as [`COLORS`].
const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
const INK: RGBColor = RGBColor(0x1d, 0x21, 0x26);

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Axis {
    /// Equal differences take equal space.
    #[default]
    Linear,
    /// Equal ratios take equal space; values that are not above 0 cannot be drawn.
    Logarithmic,
}

impl Axis {
    /// Whether `value` has a place on the axis.
    fn holds(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Positions and values, by ascending position. Where a value is not finite the line breaks.
    pub points: Vec<(f64, f64)>,
}

/// A chart with one frame for all its lines.
#[derive(Debug)]
pub struct LineChart<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What is along the horizontal axis.
    pub x_label: &'a str,
    /// What is along the vertical axis, with its unit.
    pub y_label: &'a str,
    /// How its values are laid out.
    pub y_axis: Axis,
    /// The lines.
    pub series: &'a [Series],
    /// A position to be marked, and the text of the mark.
    pub mark: Option<(f64, String)>,
}

/// The chart with its legend as one figure; empty without any point.
pub fn figure(chart: &LineChart) -> String {
    if chart.series.iter().all(|series| series.points.is_empty()) {
        return String::new();
    }
    let legend = if chart.series.len() > 1 {
        legend(chart.series)
    } else {
        String::new()
    };
    format!(
        "<figure class=\"chart\">\n<figcaption>{}</figcaption>\n{legend}{}{}</figure>\n",
        escape(chart.title),
        svg(chart),
        missing_note(chart)
    )
}

fn legend(series: &[Series]) -> String {
    let item = |(index, series): (usize, &Series)| {
        let dashed = if is_dashed(index) { " dashed" } else { "" };
        format!(
            "<li><svg viewBox=\"0 0 22 8\"><path class=\"line c{}{dashed}\" d=\"M1 4H21\"/></svg>{}</li>",
            index % COLORS.len(),
            escape(&series.name)
        )
    };
    format!(
        "<ul class=\"legend\">{}</ul>\n",
        series.iter().enumerate().map(item).collect::<String>()
    )
}

fn is_dashed(index: usize) -> bool {
    index >= COLORS.len()
}

/// What the lines do not show.
fn missing_note(chart: &LineChart) -> String {
    let values = chart.points().map(|point| point.1);
    match values.filter(|&value| !chart.y_axis.holds(value)).count() {
        0 => String::new(),
        n => format!("<p class=\"note\">{n} values have no place on this axis.</p>\n"),
    }
}

impl LineChart<'_> {
    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// The positions, the marked one among them; widened where there is a single one.
    fn x_range(&self) -> Range<f64> {
        let marked = self.mark.iter().map(|mark| mark.0);
        match range(self.points().map(|point| point.0).chain(marked)) {
            Some([low, high]) if low < high => low..high,
            Some([only, _]) => 0.0..(2.0 * only).max(1.0),
            None => 0.0..1.0,
        }
    }

    /// The values, with a little space on both sides.
    fn y_range(&self) -> Range<f64> {
        let values = self.points().map(|point| point.1);
        let found = range(values.filter(|&value| self.y_axis.holds(value)));
        match (self.y_axis, found) {
            (Axis::Linear, None | Some([0.0, 0.0])) => 0.0..1.0,
            (Axis::Linear, Some([low, high])) => {
                let margin = match high - low {
                    0.0 => 0.1 * low.abs(),
                    span => 0.05 * span,
                };
                // Losses and ratios do not go below 0, and a frame that does suggests otherwise.
                let floor = if low < 0.0 { f64::NEG_INFINITY } else { 0.0 };
                (low - margin).max(floor)..high + margin
            }
            (Axis::Logarithmic, None) => 1.0..10.0,
            (Axis::Logarithmic, Some([low, high])) => {
                let margin = (high / low).powf(0.05).max(1.05);
                low / margin..high * margin
            }
        }
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |range, value| match range {
        Some([low, high]) => Some([value.min(low), value.max(high)]),
        None => Some([value; 2]),
    })
}

fn svg(chart: &LineChart) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let (x, y) = (chart.x_range(), chart.y_range());
    let drawn = match chart.y_axis {
        Axis::Linear => draw(&area, chart, x, y),
        Axis::Logarithmic => draw(&area, chart, x, y.log_scale()),
    };
    drawn.expect("a string takes everything");
    drop(area);
    // Within a page the elements are known without it.
    svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "")
}

type Drawn = Result<(), Box<dyn Error>>;

fn draw<'a, Y>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    chart: &LineChart,
    x: Range<f64>,
    y: Y,
) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut frame = ChartBuilder::on(area)
        .margin(MARGIN)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(x, y)?;
    frame
        .configure_mesh()
        .x_desc(chart.x_label)
        .y_desc(chart.y_label)
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 28))
        .axis_desc_style(("sans-serif", 28))
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|&x| tick(x))
        .y_label_formatter(&|&y| tick(y))
        .draw()?;
    for (index, series) in chart.series.iter().enumerate() {
        draw_series(&mut frame, chart.y_axis, index, &series.points)?;
    }
    if let Some((at, text)) = &chart.mark {
        draw_mark(&mut frame, chart, *at, text)?;
    }
    area.present()?;
    Ok(())
}

type Frame<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// The pieces of a line, and behind them the band of extremes when points are summarised.
fn draw_series<Y: Ranged<ValueType = f64>>(
    frame: &mut Frame<Y>,
    axis: Axis,
    index: usize,
    points: &[(f64, f64)],
) -> Drawn {
    let color = COLORS[index % COLORS.len()];
    let pieces = points.split(|&(_, value)| !axis.holds(value));
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let buckets = summarise(piece, points.len().div_ceil(MOST_POINTS));
        let line = buckets.iter().map(|bucket| (bucket.x, bucket.mean));
        if points.len() > MOST_POINTS {
            frame.draw_series([Polygon::new(band(&buckets), color.mix(0.18).filled())])?;
        }
        let style = color.stroke_width(4);
        if buckets.len() == 1 {
            frame.draw_series(line.map(|at| Circle::new(at, 5, color.filled())))?;
        } else if is_dashed(index) {
            frame.draw_series(DashedLineSeries::new(line, 10, 8, style))?;
        } else {
            frame.draw_series(LineSeries::new(line, style))?;
        }
    }
    Ok(())
}

/// A vertical line with its text on the side where there is more room, and a dot where it meets a
/// series.
fn draw_mark<Y: Ranged<ValueType = f64>>(
    frame: &mut Frame<Y>,
    chart: &LineChart,
    at: f64,
    text: &str,
) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let line = [(at, y.start), (at, y.end)];
    frame.draw_series(DashedLineSeries::new(line, 6, 6, INK.stroke_width(2)))?;
    let (side, gap) = match at > (x.start + x.end) / 2.0 {
        true => (HPos::Right, -14),
        false => (HPos::Left, 14),
    };
    let font = ("sans-serif", 30, FontStyle::Bold).into_font();
    let style = font.color(&INK).pos(Pos::new(side, VPos::Bottom));
    let text = Text::new(text.to_owned(), (gap, -14), style);
    frame.draw_series([EmptyElement::at(line[0]) + text])?;
    let met = chart.series.iter();
    let met = met.filter_map(|series| nearest(&series.points, chart.y_axis, at));
    frame.draw_series(met.map(|met| Circle::new(met, 9, COLORS[1].filled())))?;
    Ok(())
}

/// A number at an axis; thousands as `k`, millions as `M`.
fn tick(value: f64) -> String {
    let (unit, suffix) = match value.abs() {
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e4 => (1e3, "k"),
        v if v < 1e-3 && v > 0.0 => return format!("{value:.1e}").replace(".0e", "e"),
        _ => (1.0, ""),
    };
    // Sums of steps end in rounding errors, and may be -0.
    format!("{}{suffix}", (value / unit * 1e6).round() / 1e6 + 0.0)
}

/// Neighbouring points in one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    x: f64,
    mean: f64,
    low: f64,
    high: f64,
}

fn summarise(points: &[(f64, f64)], size: usize) -> Vec<Bucket> {
    let bucket = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let values = points.iter().map(|point| point.1);
        Bucket {
            x: points.iter().map(|point| point.0).sum::<f64>() / count,
            mean: values.clone().sum::<f64>() / count,
            low: values.clone().fold(f64::INFINITY, f64::min),
            high: values.fold(f64::NEG_INFINITY, f64::max),
        }
    };
    points.chunks(size.max(1)).map(bucket).collect()
}

/// The outline of the extremes.
fn band(buckets: &[Bucket]) -> Vec<(f64, f64)> {
    let above = buckets.iter().map(|bucket| (bucket.x, bucket.high));
    let below = buckets.iter().rev().map(|bucket| (bucket.x, bucket.low));
    above.chain(below).collect()
}

/// The drawn point that is nearest to `x`, if the line spans it.
fn nearest(points: &[(f64, f64)], axis: Axis, x: f64) -> Option<(f64, f64)> {
    let drawn = || points.iter().filter(|point| axis.holds(point.1));
    let [first, last] = range(drawn().map(|point| point.0))?;
    let spanned = drawn().filter(|_| (first..=last).contains(&x));
    spanned
        .min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<(f64, f64)>, y_axis: Axis, mark: Option<(f64, String)>) -> String {
        let series = [
            Series {
                name: "loss <all>".into(),
                points,
            },
            Series::default(),
        ];
        figure(&LineChart {
            title: "a & b",
            x_label: "iteration <i>",
            y_label: "loss",
            y_axis,
            series: &series,
            mark,
        })
    }

    fn lines(svg: &str) -> usize {
        let ours = |tag: &&str| tag.starts_with("<polyline") && tag.contains("#1F6FD1");
        svg.lines().filter(ours).count()
    }

    #[test]
    fn titles_and_names_are_escaped() {
        let svg = drawn(vec![(0.0, 1.0), (5.0, 2.0)], Axis::Linear, None);
        for text in ["a &amp; b", "loss &lt;all&gt;", "iteration &lt;i&gt;"] {
            assert!(svg.contains(text), "{svg}");
        }
    }

    #[test]
    fn a_chart_without_points_is_left_out() {
        assert_eq!(drawn(vec![], Axis::Linear, None), "");
    }

    #[test]
    fn a_line_breaks_where_a_value_is_not_finite_and_the_note_counts_it() {
        let points = [1.0, 2.0, f64::NAN, 3.0, 1.5];
        let points = (0..).map(f64::from).zip(points).collect();
        let svg = drawn(points, Axis::Linear, None);
        assert_eq!(lines(&svg), 2, "{svg}");
        assert!(svg.contains("1 values have no place"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn zero_has_no_place_on_a_logarithmic_axis() {
        let points = vec![(0.0, 0.0), (1.0, 2.0), (2.0, 20.0)];
        let svg = drawn(points, Axis::Logarithmic, None);
        assert!(svg.contains("1 values") && !svg.contains("inf"), "{svg}");
        assert_eq!(lines(&svg), 1, "{svg}");
    }

    #[test]
    fn one_point_or_one_value_is_drawn_within_the_frame() {
        for (axis, value) in [
            (Axis::Linear, 3.0),
            (Axis::Linear, 0.0),
            (Axis::Logarithmic, 3.0),
        ] {
            let svg = drawn(vec![(2.0, value)], axis, None);
            assert!(svg.contains("<circle"), "{svg}");
            let svg = drawn(vec![(2.0, value), (3.0, value)], axis, None);
            assert_eq!(lines(&svg), 1, "{svg}");
        }
    }

    /// Neither an iteration nor a norm is below 0.
    #[test]
    fn a_chart_of_one_value_does_not_begin_below_zero() {
        let ranges = |x: f64, y: f64| {
            let series = [Series {
                name: "norm".into(),
                points: vec![(x, y)],
            }];
            let chart = LineChart {
                title: "",
                x_label: "",
                y_label: "",
                y_axis: Axis::Linear,
                series: &series,
                mark: None,
            };
            (chart.x_range(), chart.y_range())
        };
        assert_eq!(ranges(0.0, 0.0), (0.0..1.0, 0.0..1.0));
        assert_eq!(ranges(3.0, 2.0), (0.0..6.0, 1.8..2.2));
    }

    #[test]
    fn many_points_become_means_within_their_extremes() {
        let points = |count: i32| -> Vec<(f64, f64)> {
            (0..count).map(|i| (i.into(), (i % 3).into())).collect()
        };
        let buckets = summarise(&points(7), 3);
        assert_eq!(buckets.len(), 3);
        assert_eq!(
            buckets[0],
            Bucket {
                x: 1.0,
                mean: 1.0,
                low: 0.0,
                high: 2.0
            }
        );
        let long = drawn(points(1001), Axis::Linear, None);
        let length = long.len();
        assert!(long.contains("<polygon") && length < 20_000, "{length}");
    }

    #[test]
    fn a_mark_stands_at_its_position() {
        let points = vec![(0.0, 3.0), (0.5, 7.0), (1.0, 4.0)];
        let svg = drawn(points, Axis::Linear, Some((0.5, "chosen 0.50".into())));
        let middle = (MARGIN + LEFT + SIZE.0 - MARGIN - 1) / 2;
        assert!(svg.contains(&format!("<circle cx=\"{middle}\"")), "{svg}");
        assert!(svg.contains("chosen 0.50"), "{svg}");
    }

    /// A threshold by a rule may lie where no score was taken.
    #[test]
    fn a_mark_beside_the_points_is_within_the_frame_and_meets_no_line() {
        let points = vec![(0.0, 3.0), (0.5, 7.0)];
        let svg = drawn(points.clone(), Axis::Linear, Some((1.0, "chosen".into())));
        assert!(svg.contains("chosen") && !svg.contains("<circle"), "{svg}");
        let (left, right) = (MARGIN + LEFT, SIZE.0 - MARGIN - 1);
        let ours = svg
            .lines()
            .find(|line| line.contains("#1F6FD1\" stroke-width=\"4\""));
        let middle = format!(" {},", (left + right) / 2);
        assert!(ours.unwrap().contains(&middle), "{svg}");
        assert!(svg.contains(&format!("points=\"{right},")), "{svg}");
        let svg = drawn(points, Axis::Logarithmic, Some((0.5, "chosen".into())));
        assert!(svg.contains("<circle"), "{svg}");
    }

    #[test]
    fn ticks_are_short() {
        let ticks = [-0.0, 0.1 + 0.2, 250.0, 40_000.0, 2.5e6, 2e-5, 2.5e-4].map(tick);
        assert_eq!(ticks, ["0", "0.3", "250", "40k", "2.5M", "2e-5", "2.5e-4"]);
    }
}
