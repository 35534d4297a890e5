//! Numbers on the command line.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use pass_train::run_file::MOST_THREADS;

/// A number of threads.
///
/// # Errors
///
/// What is allowed.
pub fn threads(text: &str) -> Result<usize, String> {
    within(text, 1..=MOST_THREADS, "a whole number")
}

/// How often something is done on the command line: 1 to 100000, as in a run file.
///
/// # Errors
///
/// What is allowed.
pub fn times(text: &str) -> Result<usize, String> {
    within(text, 1..=100_000, "a whole number")
}

/// A threshold on the command line, 0 to 1.
///
/// # Errors
///
/// What is allowed.
pub fn share(text: &str) -> Result<f32, String> {
    within(text, 0.0..=1.0, "a number")
}

fn within<T: FromStr + PartialOrd + Display>(
    text: &str,
    range: RangeInclusive<T>,
    kind: &str,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be {kind}, {} to {}", range.start(), range.end()))
}
