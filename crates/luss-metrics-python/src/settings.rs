//! Keyword arguments as settings of the library.

use luss_metrics::{Fit, MatchingRule, Protocol};
use pyo3::{
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
    types::PyDict,
};
use pythonize::depythonize;
use serde_json::Value;

use crate::error::value_error;

/// The protocol of `classes` classes with the policies that are named.
pub(crate) fn protocol(
    classes: &Bound<PyAny>,
    policies: Option<&Bound<PyDict>>,
) -> PyResult<Protocol> {
    let settings = match policies {
        Some(policies) => policies.copy()?,
        None => PyDict::new(classes.py()),
    };
    settings.set_item("classes", classes)?;
    let read = depythonize(&settings);
    let protocol: Protocol = read.map_err(|error| refused(error.into(), &settings))?;
    protocol.check().map_err(value_error)?;
    Ok(protocol)
}

/// A `TypeError` as it is; else a `ValueError` that names what is out of range or unknown.
fn refused(error: PyErr, settings: &Bound<PyDict>) -> PyErr {
    let py = settings.py();
    if error.is_instance_of::<PyTypeError>(py) {
        error
    } else if error.is_instance_of::<PyOverflowError>(py) {
        value_error(format!(
            "classes and ids are 0 to 65535, not all of {settings}"
        ))
    } else {
        value_error(error.value(py))
    }
}

/// The rule of this name.
pub(crate) fn rule(name: &str) -> PyResult<MatchingRule> {
    serde_json::from_value(Value::from(name)).map_err(value_error)
}

/// The number of clusters: as many as classes, unless told.
pub(crate) fn clusters(asked: Option<&Bound<PyAny>>, protocol: &Protocol) -> PyResult<u16> {
    match number("clusters", asked, protocol.classes)? {
        0 => Err(value_error(luss_metrics::Error::NoClusters)),
        clusters => Ok(clusters),
    }
}

/// An unsigned integer, refused by its name where it is none of `T`.
pub(crate) fn number<'a, 'py, T>(
    name: &str,
    value: Option<&'a Bound<'py, PyAny>>,
    default: T,
) -> PyResult<T>
where
    T: FromPyObject<'a, 'py, Error = PyErr>,
{
    let Some(value) = value else {
        return Ok(default);
    };
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            let most = u64::MAX >> (64 - 8 * size_of::<T>());
            value_error(format!("{name} is {value}, but lies in 0 to {most}"))
        } else {
            PyTypeError::new_err(format!("{name} is {value}, not an integer"))
        }
    })
}

/// What predicted ids mean: classes, or with a rule clusters.
pub(crate) fn fit(
    name: Option<&str>,
    asked: Option<&Bound<PyAny>>,
    protocol: &Protocol,
) -> PyResult<Fit> {
    match (name, asked) {
        (None, Some(_)) => Err(PyValueError::new_err(
            "clusters were given without a rule that matches them; pass rule=\"image\"",
        )),
        (None, None) => Ok(Fit::AsTheyAre),
        (Some(name), asked) => Ok(Fit::Refit {
            rule: rule(name)?,
            clusters: clusters(asked, protocol)?,
        }),
    }
}
