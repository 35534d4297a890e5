//! `luss_metrics.MatchedEvaluator`.

use std::sync::Mutex;

use luss_metrics::{Error, LabelMask, Matched};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    document,
    error::{MasksNeeded, value_error},
    masks::{Masks, count, pairs},
    settings,
};

/// Matches generated clusters with classes and scores them, each picture read once.
///
/// `classes` and the policies are those of `Evaluator`. `rule` is "image" (the paper's), "pixel",
/// "iou" or "many-to-one"; `clusters` is their number, that of the classes by default. A few hundred
/// bytes a picture are kept.
///
/// >>> import numpy, luss_metrics
/// >>> evaluator = luss_metrics.MatchedEvaluator(classes=2)
/// >>> truth = numpy.array([[0, 2, 2, 0]], numpy.uint8)
/// >>> evaluator.add(numpy.array([[0, 1, 1, 1]], numpy.uint8), truth)
/// >>> result = evaluator.finish()
/// >>> result["matching"]["pairs"][0]
/// {'cluster': 1, 'class': 2}
/// >>> result["per_class"][2]["iou"]
/// 0.6666666666666666
#[pyclass(frozen, module = "luss_metrics")]
pub(crate) struct MatchedEvaluator {
    /// Never held while Python runs.
    pictures: Mutex<luss_metrics::MatchedEvaluator>,
}

impl MatchedEvaluator {
    fn of(pictures: luss_metrics::MatchedEvaluator) -> Self {
        Self {
            pictures: Mutex::new(pictures),
        }
    }

    /// What `read` makes of the pictures.
    fn read<T>(&self, read: impl FnOnce(&luss_metrics::MatchedEvaluator) -> T) -> T {
        read(&self.pictures.lock().expect("no holder panics"))
    }
}

#[pymethods]
impl MatchedEvaluator {
    #[new]
    #[pyo3(
        signature = (classes, *, rule="image", clusters=None, **policies),
        text_signature = "(classes, *, rule='image', clusters=None, ignore=1000, out_of_range='error', \
                          absent_class='zero', score_other=True, boundary_ignore='edge', \
                          boundary_ratio=0.03)"
    )]
    fn new(
        classes: &Bound<PyAny>,
        rule: &str,
        clusters: Option<&Bound<PyAny>>,
        policies: Option<&Bound<PyDict>>,
    ) -> PyResult<Self> {
        let (protocol, rule) = (
            settings::protocol(classes, policies)?,
            settings::rule(rule)?,
        );
        let clusters = settings::clusters(clusters, &protocol)?;
        let empty = luss_metrics::MatchedEvaluator::new(protocol, rule);
        Ok(Self::of(empty.with_clusters(clusters)))
    }

    /// Adds a picture, or several, as `Evaluator.add` does; predictions hold clusters.
    ///
    /// >>> import numpy, luss_metrics
    /// >>> evaluator = luss_metrics.MatchedEvaluator(classes=2, clusters=7)
    /// >>> evaluator.add(numpy.full((4, 6), 7), numpy.ones((4, 6), int))
    /// >>> evaluator.images
    /// 1
    fn add(&self, py: Python, prediction: &Bound<PyAny>, truth: &Bound<PyAny>) -> PyResult<()> {
        let prediction = Masks::new("prediction", prediction)?;
        let truth = Masks::new("truth", truth)?;
        let pairs = pairs(&prediction, &truth)?;
        let (protocol, clusters) = self.read(|all| (*all.protocol(), all.clusters()));
        let added = py.detach(|| {
            let images = count(&pairs, clusters, &protocol)?;
            let mut pictures = self.pictures.lock().expect("no holder panics");
            let mut images = images.into_iter();
            images.try_for_each(|image| pictures.add_counts(image).map_err(|e| e.to_string()))
        });
        added.map_err(value_error)
    }

    /// Adds the pictures of another evaluator with the same settings, behind those of this one.
    ///
    /// >>> import numpy, luss_metrics
    /// >>> first, second = (luss_metrics.MatchedEvaluator(classes=1) for _ in range(2))
    /// >>> second.add(numpy.ones((4, 6), int), numpy.ones((4, 6), int))
    /// >>> first.merge(second)
    /// >>> first.images
    /// 1
    fn merge(&self, other: &Self) -> PyResult<()> {
        let other = other.read(Clone::clone);
        let mut pictures = self.pictures.lock().expect("no holder panics");
        pictures.merge(&other).map_err(value_error)
    }

    /// The best matching and the scores under it: a report with `matching`, as in luss-eval's JSON.
    ///
    /// Where a matching joins clusters of a picture, its boundaries follow from its masks alone.
    /// `masks(i)` then gives prediction and truth of the i-th picture added, counted from 0; without
    /// `masks`, `MasksNeeded` is raised, whose `pictures` are these numbers.
    ///
    /// >>> import numpy, luss_metrics
    /// >>> truth = numpy.ones((4, 6), int)
    /// >>> prediction = numpy.repeat([[1], [2]], 2, axis=0) * truth
    /// >>> evaluator = luss_metrics.MatchedEvaluator(classes=1, clusters=2, rule="many-to-one")
    /// >>> evaluator.add(prediction, truth)
    /// >>> evaluator.finish(masks=lambda i: (prediction, truth))["per_class"][1]["boundary_iou"]
    /// 1.0
    #[pyo3(signature = (masks=None))]
    fn finish<'py>(
        &self,
        py: Python<'py>,
        masks: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pictures = self.read(Clone::clone);
        let masks = masks.map(Bound::unbind);
        let matched = py.detach(|| match &masks {
            None => pictures.finish().map_err(Failure::from),
            Some(masks) => pictures.finish_with(|picture| read_again(masks, picture)),
        });
        document::to_python(py, &described(&matched.map_err(|f| f.into_python(py))?)?)
    }

    /// Pictures added.
    #[getter]
    fn images(&self) -> usize {
        self.read(|all| all.images().len())
    }

    /// The counts as JSON, for `from_json`; pickling keeps the same text.
    ///
    /// >>> import luss_metrics
    /// >>> text = luss_metrics.MatchedEvaluator(classes=1).to_json()
    /// >>> luss_metrics.MatchedEvaluator.from_json(text).images
    /// 0
    fn to_json(&self) -> PyResult<String> {
        self.read(serde_json::to_string).map_err(value_error)
    }

    /// The evaluator that `to_json` wrote. Raises `ValueError` for a damaged text.
    ///
    /// >>> import luss_metrics
    /// >>> luss_metrics.MatchedEvaluator.from_json("[]")
    /// Traceback (most recent call last):
    ///     ...
    /// ValueError: invalid length 0, expected struct UncheckedMatchedEvaluator with 4 elements...
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let read = serde_json::from_str(text);
        read.map(Self::of).map_err(value_error)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let restore = slf.get_type().getattr("from_json")?;
        Ok((restore, (slf.get().to_json()?,)))
    }

    fn __repr__(&self) -> String {
        self.read(|all| {
            let (clusters, classes) = (all.clusters(), all.protocol().classes);
            let images = all.images().len();
            format!("<luss_metrics.MatchedEvaluator of {clusters} clusters, {classes} classes, {images} images>")
        })
    }
}

/// The report with its matching.
fn described(matched: &Matched) -> PyResult<serde_json::Value> {
    let mut report = document::report(&matched.evaluator)?;
    report["matching"] = document::matching(&matched.matching, &matched.ties);
    Ok(report)
}

/// The masks of a picture, from the caller.
fn read_again(masks: &Py<PyAny>, picture: usize) -> Result<(LabelMask, LabelMask), Failure> {
    let read = |py: Python| -> PyResult<(LabelMask, LabelMask)> {
        let pair = masks.bind(py).call1((picture,))?;
        let (prediction, truth): (Bound<PyAny>, Bound<PyAny>) = pair.extract()?;
        let prediction = Masks::new("prediction", &prediction)?;
        let truth = Masks::new("truth", &truth)?;
        let [(prediction, truth)] = pairs(&prediction, &truth)?[..] else {
            return Err(value_error("masks(i) gives one prediction and one truth"));
        };
        Ok((prediction.to_mask()?, truth.to_mask()?))
    };
    Python::attach(read).map_err(Failure::Python)
}

/// What stops an evaluation: the library, or what the caller's function raised.
enum Failure {
    Library(Error),
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl Failure {
    fn into_python(self, py: Python) -> PyErr {
        match self {
            Self::Python(error) => error,
            Self::Library(Error::MasksNeeded { pictures }) => MasksNeeded::of(py, pictures),
            Self::Library(error) => value_error(error),
        }
    }
}
