//! Line charts as SVG, drawn by hand.

use super::{
    axis::{Axis, Scale},
    html::escape,
};

/// Size of a chart in SVG units; the page scales it.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 270.0;
/// The frame within which lines are drawn: left, right, top, bottom.
const LEFT: f64 = 52.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 40.0;
/// More points than this are drawn as means of neighbours within a band of their extremes.
const MOST_POINTS: usize = 200;
/// Colours that the style sheet has for lines; more series repeat them, dashed.
const COLORS: usize = 8;

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
pub(super) struct LineChart<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) y_axis: Axis,
    pub(super) series: &'a [Series],
    /// A position to be marked, and the text of the mark.
    pub(super) mark: Option<(f64, String)>,
}

/// The chart with its legend as one figure; empty without any point.
pub(super) fn figure(chart: &LineChart) -> String {
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

fn svg(chart: &LineChart) -> String {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let x = Scale::around(Axis::Linear, points().map(|point| point.0), [LEFT, RIGHT]);
    let y = Scale::around(chart.y_axis, points().map(|point| point.1), [BOTTOM, TOP]).with_margin();
    let frame = Frame {
        x,
        y,
        y_axis: chart.y_axis,
    };
    let lines: String = chart
        .series
        .iter()
        .enumerate()
        .map(|(i, series)| frame.line(i, &series.points))
        .collect();
    let mark = chart
        .mark
        .iter()
        .map(|(at, text)| frame.mark(*at, text, chart.series));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{}{lines}{}{}</svg>\n",
        escape(chart.title),
        frame.grid(),
        mark.collect::<String>(),
        axis_labels(chart)
    )
}

fn legend(series: &[Series]) -> String {
    let item = |(index, series): (usize, &Series)| {
        format!(
            "<li><svg viewBox=\"0 0 22 8\"><path class=\"line {}\" d=\"M1 4H21\"/></svg>{}</li>",
            class(index),
            escape(&series.name)
        )
    };
    format!(
        "<ul class=\"legend\">{}</ul>\n",
        series.iter().enumerate().map(item).collect::<String>()
    )
}

fn axis_labels(chart: &LineChart) -> String {
    let (x, y) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
    let bottom = HEIGHT - 6.0;
    format!(
        "<text class=\"label\" x=\"{x}\" y=\"{bottom}\" text-anchor=\"middle\">{}</text>\n\
         <text class=\"label\" x=\"12\" y=\"{y}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 12 {y})\">{}</text>\n",
        escape(chart.x_label),
        escape(chart.y_label)
    )
}

/// What the lines do not show.
fn missing_note(chart: &LineChart) -> String {
    let values = chart
        .series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point.1);
    match values.filter(|&value| !chart.y_axis.holds(value)).count() {
        0 => String::new(),
        n => format!("<p class=\"note\">{n} values have no place on this axis.</p>\n"),
    }
}

fn class(index: usize) -> String {
    let dashed = if index >= COLORS { " dashed" } else { "" };
    format!("c{}{dashed}", index % COLORS)
}

struct Frame {
    x: Scale,
    y: Scale,
    y_axis: Axis,
}

impl Frame {
    fn grid(&self) -> String {
        let horizontal = self.y.ticks(5).into_iter().map(|(value, text)| {
            let y = self.y.place(value);
            let (tick, baseline) = (LEFT - 6.0, y + 4.0);
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
                 <text x=\"{tick}\" y=\"{baseline:.1}\" text-anchor=\"end\">{text}</text>\n"
            )
        });
        let vertical = self.x.ticks(6).into_iter().map(|(value, text)| {
            let (x, end, baseline) = (self.x.place(value), BOTTOM + 4.0, BOTTOM + 17.0);
            format!(
                "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}V{end}\"/>\
                 <text x=\"{x:.1}\" y=\"{baseline}\" text-anchor=\"middle\">{text}</text>\n"
            )
        });
        let axis = format!("<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\n");
        horizontal.chain(vertical).chain([axis]).collect()
    }

    /// A line, and behind it the band of extremes when points are summarised.
    fn line(&self, index: usize, points: &[(f64, f64)]) -> String {
        let class = class(index);
        let pieces = points.split(|&(_, value)| !self.y_axis.holds(value));
        let pieces = pieces.filter(|piece| !piece.is_empty());
        pieces
            .map(|piece| self.piece(&class, piece, points.len()))
            .collect()
    }

    fn piece(&self, class: &str, points: &[(f64, f64)], of: usize) -> String {
        let buckets = summarise(points, of.div_ceil(MOST_POINTS));
        if let [only] = buckets[..] {
            let (x, y) = self.at(only.x, only.mean);
            return format!(
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>\n"
            );
        }
        let line = self.path(buckets.iter().map(|bucket| (bucket.x, bucket.mean)));
        let band = if of > MOST_POINTS {
            self.band(class, &buckets)
        } else {
            String::new()
        };
        format!("{band}<path class=\"line {class}\" d=\"{line}\"/>\n")
    }

    fn band(&self, class: &str, buckets: &[Bucket]) -> String {
        let above = buckets.iter().map(|bucket| (bucket.x, bucket.high));
        let below = buckets.iter().rev().map(|bucket| (bucket.x, bucket.low));
        format!(
            "<path class=\"band {class}\" d=\"{}Z\"/>\n",
            self.path(above.chain(below))
        )
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, value) in points {
            let (x, y) = self.at(x, value);
            let verb = if path.is_empty() { 'M' } else { 'L' };
            path += &format!("{verb}{x:.1} {y:.1}");
        }
        path
    }

    /// A vertical line with its text on the side where there is more room, and a dot where it
    /// meets each series.
    fn mark(&self, at: f64, text: &str, series: &[Series]) -> String {
        let x = self.x.place(at);
        let left = x > (LEFT + RIGHT) / 2.0;
        let (text_x, anchor) = if left {
            (x - 7.0, "end")
        } else {
            (x + 7.0, "start")
        };
        let (text, text_y) = (escape(text), BOTTOM - 10.0);
        let dots = series
            .iter()
            .filter_map(|series| nearest(&series.points, at))
            .map(|(x, value)| {
                let (x, y) = self.at(x, value);
                format!("<circle class=\"chosen\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\n")
            });
        format!(
            "<path class=\"mark\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>\n{}\
             <text class=\"mark-text\" x=\"{text_x:.1}\" y=\"{text_y}\" text-anchor=\"{anchor}\">{text}</text>\n",
            dots.collect::<String>()
        )
    }

    fn at(&self, x: f64, value: f64) -> (f64, f64) {
        (self.x.place(x), self.y.place(value))
    }
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

fn nearest(points: &[(f64, f64)], x: f64) -> Option<(f64, f64)> {
    let finite = points.iter().filter(|point| point.1.is_finite());
    finite
        .min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<(f64, f64)>, y_axis: Axis) -> String {
        let series = [
            Series {
                name: "loss <all>".into(),
                points,
            },
            Series::default(),
        ];
        let (x_label, y_label) = ("iteration", "loss");
        figure(&LineChart {
            title: "a & b",
            x_label,
            y_label,
            y_axis,
            series: &series,
            mark: None,
        })
    }

    #[test]
    fn titles_and_names_are_escaped() {
        let svg = drawn(vec![(0.0, 1.0), (5.0, 2.0)], Axis::Linear);
        assert!(
            svg.contains("a &amp; b") && svg.contains("loss &lt;all&gt;"),
            "{svg}"
        );
    }

    #[test]
    fn a_chart_without_points_is_left_out() {
        assert_eq!(drawn(vec![], Axis::Linear), "");
    }

    #[test]
    fn a_line_breaks_where_a_value_is_not_finite_and_the_note_counts_it() {
        let svg = drawn(
            vec![
                (0.0, 1.0),
                (1.0, 2.0),
                (2.0, f64::NAN),
                (3.0, 2.0),
                (4.0, 1.5),
            ],
            Axis::Linear,
        );
        assert_eq!(svg.matches("class=\"line c0\" d=\"M5").count(), 1);
        assert_eq!(
            svg.matches("class=\"line c0\"").count(),
            3,
            "two pieces and the legend"
        );
        assert!(svg.contains("1 values have no place"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn zero_has_no_place_on_a_logarithmic_axis() {
        let svg = drawn(vec![(0.0, 0.0), (1.0, 2.0), (2.0, 20.0)], Axis::Logarithmic);
        assert!(svg.contains("1 values") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn many_points_become_means_within_their_extremes() {
        let points: Vec<(f64, f64)> = (0..7).map(|i| (f64::from(i), f64::from(i % 3))).collect();
        let buckets = summarise(&points, 3);
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
        let long = drawn(
            (0..1001)
                .map(|i| (f64::from(i), f64::from(i % 3)))
                .collect(),
            Axis::Linear,
        );
        assert!(
            long.contains("class=\"band c0\"") && long.len() < 20_000,
            "{}",
            long.len()
        );
    }

    #[test]
    fn a_mark_stands_at_its_position() {
        let series = [Series {
            name: "mIoU".into(),
            points: vec![(0.0, 3.0), (0.5, 7.0), (1.0, 4.0)],
        }];
        let chart = LineChart {
            title: "t",
            x_label: "x",
            y_label: "y",
            y_axis: Axis::Linear,
            series: &series,
            mark: Some((0.5, "chosen 0.50".into())),
        };
        let middle = (LEFT + RIGHT) / 2.0;
        assert!(figure(&chart).contains(&format!("class=\"chosen\" cx=\"{middle:.1}\"")));
    }
}
