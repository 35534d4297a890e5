//! What Python is told: `TypeError` for what is no array of ids, `ValueError` for all else.

use std::fmt::Display;

use pyo3::{PyErr, exceptions::PyValueError, prelude::*};

pyo3::create_exception!(
    luss_metrics,
    MasksNeeded,
    PyValueError,
    "The matching joins clusters of a picture: its boundaries follow from the masks alone.\n\n\
     `pictures` are the numbers of these pictures, counted from 0."
);

impl MasksNeeded {
    /// The exception with the numbers of the pictures.
    pub(crate) fn of(py: Python, pictures: Vec<usize>) -> PyErr {
        let error = Self::new_err(format!(
            "the matching joins clusters of {} pictures: their boundaries follow from their masks alone; pass \
             masks=lambda i: (prediction, truth), which is asked for the pictures in `pictures` of this exception",
            pictures.len()
        ));
        let named = error.value(py).setattr("pictures", pictures);
        named.err().unwrap_or(error)
    }
}

/// A `ValueError` that says what `error` says.
pub(crate) fn value_error(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
