//! The functions of the module.

use luss_metrics::{
    Bootstrap, Fit, ImageCounts, MatchedEvaluator, MatchingRule, Predictions, Protocol,
};
use pyo3::{prelude::*, types::PyDict};
use serde_json::{Map, Value};

use crate::{
    document,
    error::value_error,
    masks::{Masks, count, pairs},
    settings,
};

/// The class that each cluster stands for, fitted to these pictures.
///
/// `clusters` is the number of clusters, that of the classes by default; `rule` is "image" (the
/// paper's), "pixel", "iou" or "many-to-one". The dict has the keys of `matching` in luss-eval's
/// JSON; class 0 is a cluster that stayed alone.
///
/// >>> import numpy, luss_metrics
/// >>> truth = numpy.array([[0, 2, 2, 1]], numpy.uint8)
/// >>> prediction = numpy.array([[0, 1, 1, 2]], numpy.uint8)
/// >>> matching = luss_metrics.match_clusters(prediction, truth, classes=2, rule="pixel")
/// >>> matching["pairs"]
/// [{'cluster': 1, 'class': 2}, {'cluster': 2, 'class': 1}]
/// >>> class_of = numpy.array([0] + [pair["class"] for pair in matching["pairs"]])
/// >>> class_of[prediction].tolist()
/// [[0, 2, 2, 1]]
#[pyfunction]
#[pyo3(
    signature = (prediction, truth, classes, *, rule="image", clusters=None, **policies),
    text_signature = "(prediction, truth, classes, *, rule='image', clusters=None, ignore=1000, \
                      out_of_range='error', absent_class='zero', score_other=True)"
)]
pub(crate) fn match_clusters<'py>(
    py: Python<'py>,
    prediction: &Bound<'py, PyAny>,
    truth: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyAny>,
    rule: &str,
    clusters: Option<&Bound<'py, PyAny>>,
    policies: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (protocol, rule) = (
        settings::protocol(classes, policies)?,
        settings::rule(rule)?,
    );
    let clusters = settings::clusters(clusters, &protocol)?;
    let images = counted(py, (prediction, truth), clusters, &protocol)?;
    let matching = py.detach(|| matched(rule, clusters, protocol, images));
    document::to_python(py, &matching.map_err(value_error)?)
}

fn matched(
    rule: MatchingRule,
    clusters: u16,
    protocol: Protocol,
    images: Vec<ImageCounts>,
) -> Result<Value, luss_metrics::Error> {
    let mut evaluator = MatchedEvaluator::new(protocol, rule).with_clusters(clusters);
    let mut images = images.into_iter();
    images.try_for_each(|image| evaluator.add_counts(image))?;
    let (matching, ties) = evaluator.fit()?;
    Ok(document::matching(&matching, &ties))
}

/// The boundary IoU of each label: the IoU of the pixels near a contour (Cheng et al. 2021).
///
/// `boundary_ratio` is the thickness as a share of the diagonal: 0.03 in this benchmark, 0.02 in the
/// paper of boundary IoU.
///
/// >>> import numpy, luss_metrics
/// >>> truth = numpy.zeros((30, 40), numpy.uint8)
/// >>> truth[10:20, 10:30] = 1
/// >>> scores = luss_metrics.boundary_iou(numpy.roll(truth, 1, axis=1), truth, classes=1)
/// >>> round(scores["per_class"][1]["boundary_iou"], 3)
/// 0.733
#[pyfunction]
#[pyo3(
    signature = (prediction, truth, classes, **policies),
    text_signature = "(prediction, truth, classes, *, ignore=1000, out_of_range='error', \
                      absent_class='zero', score_other=True, boundary_ignore='edge', \
                      boundary_ratio=0.03)"
)]
pub(crate) fn boundary_iou<'py>(
    py: Python<'py>,
    prediction: &Bound<'py, PyAny>,
    truth: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyAny>,
    policies: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let protocol = settings::protocol(classes, policies)?;
    let images = counted(py, (prediction, truth), protocol.classes, &protocol)?;
    let mut evaluator = luss_metrics::Evaluator::new(protocol);
    let mut images = images.iter();
    images
        .try_for_each(|image| evaluator.add_counts(image))
        .map_err(value_error)?;
    let mut report = document::report(&evaluator)?;
    let classes = report["per_class"].as_array_mut().into_iter().flatten();
    let per_class: Vec<Value> = classes.map(boundary_fields).collect();
    let scores = serde_json::json!({
        "images": report["images"], "boundary_miou": report["boundary_miou"], "per_class": per_class,
    });
    document::to_python(py, &scores)
}

/// The id and what concerns boundaries.
fn boundary_fields(class: &mut Value) -> Value {
    let Value::Object(fields) = class.take() else {
        unreachable!("a class has fields")
    };
    let kept = fields
        .into_iter()
        .filter(|(key, _)| key == "id" || key.contains("boundary"));
    kept.collect::<Map<_, _>>().into()
}

/// Intervals of all scores by resampled pictures; with a `rule` the matching is fitted anew in each.
///
/// The dict has the keys of `uncertainty` in luss-eval's JSON. The result depends on `seed`, not on
/// `threads`.
///
/// >>> import numpy, luss_metrics
/// >>> masks = numpy.random.default_rng(1).integers(0, 3, (8, 20, 30))
/// >>> result = luss_metrics.bootstrap(masks, masks, classes=2, resamples=100)
/// >>> result["scores"][0]["score"], result["scores"][0]["interval"]["low"]
/// ('miou', 1.0)
#[pyfunction]
#[pyo3(
    signature = (prediction, truth, classes, *, rule=None, clusters=None, resamples=None, seed=None,
                 confidence=0.95, threads=None, **policies),
    text_signature = "(prediction, truth, classes, *, rule=None, clusters=None, resamples=1000, seed=0, \
                      confidence=0.95, threads=1, ignore=1000, out_of_range='error', \
                      absent_class='zero', score_other=True, boundary_ignore='edge', \
                      boundary_ratio=0.03)"
)]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub(crate) fn bootstrap<'py>(
    py: Python<'py>,
    prediction: &Bound<'py, PyAny>,
    truth: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyAny>,
    rule: Option<&str>,
    clusters: Option<&Bound<'py, PyAny>>,
    resamples: Option<&Bound<'py, PyAny>>,
    seed: Option<&Bound<'py, PyAny>>,
    confidence: f64,
    threads: Option<&Bound<'py, PyAny>>,
    policies: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let protocol = settings::protocol(classes, policies)?;
    let fit = settings::fit(rule, clusters, &protocol)?;
    let clusters = match fit {
        Fit::Refit { clusters, .. } => clusters,
        _ => protocol.classes,
    };
    let settings = Bootstrap {
        seed: settings::number("seed", seed, 0)?,
        resamples: settings::number("resamples", resamples, 1000)?,
        confidence,
        threads: settings::number("threads", threads, 1)?,
    };
    let images = counted(py, (prediction, truth), clusters, &protocol)?;
    let predictions = Predictions {
        images: &images,
        fit,
    };
    let intervals = py.detach(|| settings.intervals(&predictions, &protocol));
    Ok(pythonize::pythonize(py, &intervals.map_err(value_error)?)?)
}

/// The counts of all pictures, taken while other threads of Python run.
fn counted<'py>(
    py: Python<'py>,
    (prediction, truth): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
    clusters: u16,
    protocol: &Protocol,
) -> PyResult<Vec<ImageCounts>> {
    let prediction = Masks::new("prediction", prediction)?;
    let truth = Masks::new("truth", truth)?;
    let pairs = pairs(&prediction, &truth)?;
    py.detach(|| count(&pairs, clusters, protocol))
        .map_err(value_error)
}
