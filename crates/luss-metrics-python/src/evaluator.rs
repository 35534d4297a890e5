//! `luss_metrics.Evaluator`.

use std::sync::Mutex;

use pyo3::{prelude::*, types::PyDict};

use crate::{
    document,
    error::value_error,
    masks::{Masks, count, pairs},
    settings::protocol,
};

/// Sums up pictures whose predictions hold class ids; `report` divides once, at the end.
///
/// The counts are integers, so the order of the pictures and how they are split over evaluators
/// that are merged change nothing. Threads may add to one evaluator at the same time.
///
/// `classes` is the number of classes without "other". Policies, by name: `ignore` (id of the true
/// pixels that count nowhere, 1000), `absent_class` ("zero" or "skip"), `out_of_range` ("error" or
/// "reference", the toolbox's), `score_other` (whether 0 is one of the labels of a mean),
/// `boundary_ignore` ("edge" or "transparent"), `boundary_ratio` (0.03).
///
/// >>> import numpy, luss_metrics
/// >>> evaluator = luss_metrics.Evaluator(classes=1, ignore=255)
/// >>> truth = numpy.array([[0, 1, 1, 255]], numpy.uint8)
/// >>> evaluator.add(numpy.array([[0, 0, 1, 1]]), truth)
/// >>> report = evaluator.report()
/// >>> report["miou"], report["per_class"][1]["iou"]
/// (0.5, 0.5)
#[pyclass(frozen, module = "luss_metrics")]
pub(crate) struct Evaluator {
    /// Never held while Python runs.
    sums: Mutex<luss_metrics::Evaluator>,
}

impl Evaluator {
    fn of(sums: luss_metrics::Evaluator) -> Self {
        Self {
            sums: Mutex::new(sums),
        }
    }

    /// What `read` makes of the sums.
    fn read<T>(&self, read: impl FnOnce(&luss_metrics::Evaluator) -> T) -> T {
        read(&self.sums.lock().expect("no holder panics"))
    }
}

#[pymethods]
impl Evaluator {
    #[new]
    #[pyo3(
        signature = (classes, **policies),
        text_signature = "(classes, *, ignore=1000, out_of_range='error', absent_class='zero', \
                          score_other=True, boundary_ignore='edge', boundary_ratio=0.03)"
    )]
    fn new(classes: &Bound<PyAny>, policies: Option<&Bound<PyDict>>) -> PyResult<Self> {
        let protocol = protocol(classes, policies)?;
        Ok(Self::of(luss_metrics::Evaluator::new(protocol)))
    }

    /// Adds a picture, or several: arrays of two or three dimensions, or lists of arrays.
    ///
    /// Raises `TypeError` for what is no array of ids, `ValueError` for a stray id, sizes that
    /// differ or an array in another order. The evaluator is then as before.
    ///
    /// >>> import numpy, luss_metrics
    /// >>> evaluator = luss_metrics.Evaluator(classes=1)
    /// >>> evaluator.add(numpy.zeros((7, 4, 6), int), numpy.ones((7, 4, 6), int))
    /// >>> evaluator.images
    /// 7
    fn add(&self, py: Python, prediction: &Bound<PyAny>, truth: &Bound<PyAny>) -> PyResult<()> {
        let prediction = Masks::new("prediction", prediction)?;
        let truth = Masks::new("truth", truth)?;
        let pairs = pairs(&prediction, &truth)?;
        let protocol = self.read(|sums| *sums.protocol());
        let added = py.detach(|| {
            let images = count(&pairs, protocol.classes, &protocol)?;
            let mut sums = self.sums.lock().expect("no holder panics");
            let mut images = images.iter();
            images.try_for_each(|image| sums.add_counts(image).map_err(|e| e.to_string()))
        });
        added.map_err(value_error)
    }

    /// Adds the pictures of another evaluator with the same settings.
    ///
    /// >>> import numpy, luss_metrics
    /// >>> first, second = luss_metrics.Evaluator(classes=1), luss_metrics.Evaluator(classes=1)
    /// >>> second.add(numpy.ones((4, 6), int), numpy.ones((4, 6), int))
    /// >>> first.merge(second)
    /// >>> first.images
    /// 1
    fn merge(&self, other: &Self) -> PyResult<()> {
        let other = other.read(Clone::clone); // it may be this one
        let mut sums = self.sums.lock().expect("no holder panics");
        sums.merge(&other).map_err(value_error)
    }

    /// All scores of the pictures added so far, as ratios, with the keys of luss-eval's JSON.
    ///
    /// >>> import luss_metrics
    /// >>> sorted(luss_metrics.Evaluator(classes=1).report()["sizes"])
    /// ['large', 'medium_large', 'medium_small', 'small']
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        document::to_python(py, &self.read(document::report)?)
    }

    /// Pictures added.
    #[getter]
    fn images(&self) -> u64 {
        self.read(luss_metrics::Evaluator::images)
    }

    /// The counts as JSON, for `from_json`; pickling keeps the same text.
    ///
    /// >>> import luss_metrics
    /// >>> text = luss_metrics.Evaluator(classes=1).to_json()
    /// >>> luss_metrics.Evaluator.from_json(text).images
    /// 0
    fn to_json(&self) -> PyResult<String> {
        self.read(serde_json::to_string).map_err(value_error)
    }

    /// The evaluator that `to_json` wrote. Raises `ValueError` for a damaged text.
    ///
    /// >>> import luss_metrics
    /// >>> luss_metrics.Evaluator.from_json("{}")
    /// Traceback (most recent call last):
    ///     ...
    /// ValueError: missing field `protocol` at line 1 column 2
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        serde_json::from_str(text)
            .map(Self::of)
            .map_err(value_error)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let restore = slf.get_type().getattr("from_json")?;
        Ok((restore, (slf.get().to_json()?,)))
    }

    fn __repr__(&self) -> String {
        let (classes, images) = self.read(|sums| (sums.protocol().classes, sums.images()));
        format!("<luss_metrics.Evaluator of {classes} classes, {images} images>")
    }
}
