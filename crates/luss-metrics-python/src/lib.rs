//! `import luss_metrics`: the metrics of [`luss_metrics`] for NumPy arrays.
//!
//! The docstrings below are what Python shows; `luss_metrics.pyi` has the types.

mod document;
mod error;
mod evaluator;
mod functions;
mod masks;
mod matched_evaluator;
mod settings;

use pyo3::prelude::*;

/// Label masks into numbers: mIoU, boundary mIoU, image accuracy, F-measure, by class and by object size.
///
/// A mask is a NumPy array of ids, height times width: 0 is "other", 1 to C are classes (or generated
/// clusters), and one id of the truth is ignored (1000, unless `ignore` names another). Several
/// pictures are an array of three dimensions, or a list of arrays. Types are uint8, uint16, int32
/// and int64, row by row in memory; uint16 is read where it lies.
///
/// >>> import numpy, luss_metrics
/// >>> truth = numpy.array([[0, 2, 2, 0], [0, 2, 2, 2]], numpy.uint8)
/// >>> prediction = numpy.array([[0, 2, 2, 2], [0, 0, 2, 2]], numpy.uint8)
/// >>> evaluator = luss_metrics.Evaluator(classes=2)
/// >>> evaluator.add(prediction, truth)
/// >>> evaluator.report()["per_class"][2]["iou"]
/// 0.6666666666666666
#[pymodule(name = "luss_metrics")]
mod luss_metrics_module {
    #[pymodule_export]
    use crate::{
        error::MasksNeeded,
        evaluator::Evaluator,
        functions::{bootstrap, boundary_iou, match_clusters},
        matched_evaluator::MatchedEvaluator,
    };

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
