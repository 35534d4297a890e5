//! The report of a run: one HTML file with everything in it, readable without a network, and a second
//! one for the atlas of more than 50 clusters.
//!
//! It holds no time and no random number of its own: equal data make an equal file.

mod atlas;
mod atlas_data;
pub mod cluster_report;
pub(crate) mod data;
mod metric_table;
mod sheet;
mod suggestion;
mod verdict;

use std::path::Path;

use html_report::{Axis, LineChart, section, threshold_figure};
use pixel_attention::kmeans::suggest::Suggestion;

use crate::Error;

pub use atlas::{Atlas, AtlasCluster, AtlasPicture, drawn_labels};
pub use html_report::{Series, overlay};
pub use sheet::SheetRow;
pub use verdict::ShownVerdict;

/// All that a report shows; parts that are empty are left out.
#[derive(Debug, Clone, Default)]
pub struct ReportData {
    /// Title of the page.
    pub title: String,
    /// Facts about the run: data, seed, sizes, commit.
    pub summary: Vec<(String, String)>,
    /// Whether the run has worked, shown first.
    pub verdict: Option<ShownVerdict>,
    /// Rows of the metric table, in this order.
    pub metrics: Vec<MetricRow>,
    /// Curves of the trainings, one chart for each group of numbers of a step.
    pub curves: Vec<Curve>,
    /// How the number of categories was suggested.
    pub suggestion: Option<Suggestion>,
    /// How the attention threshold was chosen.
    pub threshold: Option<ThresholdChart>,
    /// The clusters with their pictures.
    pub atlas: Option<Atlas>,
    /// Pictures of the contact sheet: as many of the best as of the worst. Those with a score are
    /// shown from best to worst.
    pub sheet: Vec<SheetRow>,
    /// Names of the classes; that of class `id` at `id - 1`. Empty for clusters without a name.
    pub class_names: Vec<String>,
}

/// One row of the metric table. All values are ratios in `0..=1`, shown in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRow {
    /// What was evaluated, such as `"fine_tuned"`.
    pub name: String,
    /// Result of the method, or a control.
    pub kind: RowKind,
    /// What it is, in a line.
    pub about: &'static str,
    /// Whether it uses labels of the images beyond the matching; such a row is never the best.
    pub uses_labels: bool,
    /// Mean IoU.
    pub miou: Option<f64>,
    /// Mean boundary IoU.
    pub boundary_miou: Option<f64>,
    /// Image-level accuracy.
    pub image_accuracy: Option<f64>,
    /// F measure of foreground against other.
    pub f_beta: Option<f64>,
}

/// Whether a row has learned anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A result of the method.
    Method,
    /// A floor without learning, see [`crate::controls`].
    Control,
}

impl MetricRow {
    fn values(&self) -> [Option<f64>; 4] {
        [
            self.miou,
            self.boundary_miou,
            self.image_accuracy,
            self.f_beta,
        ]
    }
}

/// Numbers of one step over its iterations, on a logarithmic axis when all are above 0 and the
/// largest is over 20 times the smallest.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The step.
    pub step: String,
    /// What the numbers are, such as `"loss"`; curves of one group stand together.
    pub group: String,
    /// What is along the vertical axis: the unit of the numbers.
    pub unit: String,
    /// One series for each number.
    pub series: Vec<Series>,
}

/// Validation mIoU over the attention threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdChart {
    /// Thresholds in `0..=1` and the mIoU (`0..=1`) of the pseudo labels each would give.
    pub points: Vec<(f32, f64)>,
    /// The threshold that was used.
    pub chosen: f32,
    /// How it was chosen and from which masks.
    pub note: String,
}

/// Where the atlas of many clusters lies, beside the report.
const ATLAS_PAGE: &str = "atlas.html";

/// Writes the report as one HTML file; more than 50 clusters get a second one, `atlas.html` beside it.
///
/// # Errors
///
/// [`Error::Io`].
///
/// # Panics
///
/// When a picture of the sheet has no pixels.
pub fn write_report(path: &Path, data: &ReportData) -> Result<(), Error> {
    let page = render(data);
    if let Some(page) = render_atlas(data) {
        let path = path.with_file_name(ATLAS_PAGE);
        whole_file::write_bytes(&path, page.as_bytes())
            .map_err(Error::io(&path, "write the atlas"))?;
    }
    whole_file::write_bytes(path, page.as_bytes()).map_err(Error::io(path, "write the report"))
}

/// The page of the atlas, if it has one of its own.
fn render_atlas(data: &ReportData) -> Option<String> {
    let atlas = data
        .atlas
        .as_ref()
        .filter(|atlas| atlas::has_own_page(atlas))?;
    let title = format!("Clusters: {}", data.title);
    Some(html_report::page(
        &title,
        &atlas::own_page(atlas, &data.class_names),
    ))
}

fn render(data: &ReportData) -> String {
    let atlas = data.atlas.as_ref();
    let atlas = atlas.map(|atlas| atlas::summary(atlas, &data.class_names, ATLAS_PAGE));
    let threshold = data
        .threshold
        .as_ref()
        .map(threshold_chart)
        .unwrap_or_default();
    let suggestion = data.suggestion.as_ref().map(suggestion::content);
    let verdict = data.verdict.as_ref();
    let verdict = verdict.map(|shown| verdict::content(shown, &data.class_names));
    let verdict = verdict.unwrap_or_default();
    let sections = [
        section("Has it worked?", &verdict),
        html_report::summary(&data.summary),
        section("Metrics", &metric_table::metric_table(&data.metrics)),
        section("Training", &curves(&data.curves)),
        section("How many categories?", &suggestion.unwrap_or_default()),
        section("Clusters", &atlas.unwrap_or_default()),
        section("Attention threshold", &threshold),
        section(
            "Images",
            &sheet::contact_sheet(&data.sheet, &data.class_names),
        ),
    ];
    html_report::page(&data.title, &sections)
}

/// The charts, group by group in the order in which groups appear. The first group is open: it is
/// what one looks at, the others where one looks after it.
fn curves(curves: &[Curve]) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for curve in curves {
        if !groups.contains(&curve.group.as_str()) {
            groups.push(&curve.group);
        }
    }
    let groups = groups.into_iter().enumerate().map(|(index, group)| {
        let of_group = curves.iter().filter(|curve| curve.group == group);
        let charts: String = of_group.map(curve_chart).collect();
        let open = if index == 0 { " open" } else { "" };
        let group = html_report::escape(heading(group));
        format!(
            "<details{open}><summary>{group}</summary>\n\
             <div class=\"charts\">\n{charts}</div></details>\n"
        )
    });
    groups.collect()
}

/// A group of numbers as people call it.
fn heading(group: &str) -> &str {
    match group {
        "rate" => "learning rate",
        "time" => "waiting for images",
        other => other,
    }
}

fn curve_chart(curve: &Curve) -> String {
    let y_axis = axis_for(&curve.series);
    let y_label = match y_axis {
        Axis::Linear => curve.unit.clone(),
        Axis::Logarithmic => format!("{}, logarithmic", curve.unit),
    };
    let title = match &curve.series[..] {
        [only] => format!("{}: {}", curve.step, only.name),
        _ => curve.step.clone(),
    };
    html_report::figure(&LineChart {
        title: &title,
        x_label: "iteration",
        y_label: &y_label,
        y_axis,
        series: &curve.series,
        mark: None,
    })
}

fn threshold_chart(threshold: &ThresholdChart) -> String {
    let points = threshold.points.iter().copied();
    let title = "mIoU of the pseudo labels by threshold";
    let figure = threshold_figure(title, points, threshold.chosen);
    let note = html_report::escape(&threshold.note);
    format!("<p class=\"note\">{note}</p>\n{figure}")
}

fn axis_for(series: &[Series]) -> Axis {
    let values = || {
        series
            .iter()
            .flat_map(|series| &series.points)
            .map(|point| point.1)
    };
    let finite = || values().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    if low > 0.0 && high > 20.0 * low {
        Axis::Logarithmic
    } else {
        Axis::Linear
    }
}

#[cfg(test)]
mod tests;
