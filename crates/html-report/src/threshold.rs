//! Scores over the attention threshold.

use crate::{Axis, LineChart, Series, figure};

/// The mIoU (`0..=1`) at each threshold as a chart in percent, with a mark at the `chosen` one.
pub fn threshold_figure(
    title: &str,
    points: impl IntoIterator<Item = (f32, f64)>,
    chosen: f32,
) -> String {
    let points = points.into_iter();
    let points = points.map(|(threshold, miou)| (f64::from(threshold), 100.0 * miou));
    let series = [Series {
        name: "mIoU".to_owned(),
        points: points.collect(),
    }];
    let figure = figure(&LineChart {
        title,
        x_label: "attention threshold",
        y_label: "mIoU, percent",
        y_axis: Axis::Linear,
        series: &series,
        mark: Some((f64::from(chosen), format!("chosen {chosen:.2}"))),
    });
    format!("<div class=\"charts\">\n{figure}</div>\n")
}
