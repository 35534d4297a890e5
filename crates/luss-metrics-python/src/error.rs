//! What Python is told: `TypeError` for what is no array of ids, `ValueError` for all else.

use std::fmt::Display;

use luss_metrics::Error;
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
        let numbers = pictures.clone();
        let message = Error::MasksNeeded { pictures }
            .to_string()
            .replace("`finish_with`", "`masks`");
        let error = Self::new_err(message);
        let named = error.value(py).setattr("pictures", numbers);
        named.err().unwrap_or(error)
    }
}

/// A `ValueError` that says what `error` says.
pub(crate) fn value_error(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
