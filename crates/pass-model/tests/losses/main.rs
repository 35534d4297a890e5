//! Losses agree with what PyTorch computes in float64, and have their values at collapse.

#[path = "../common/mod.rs"]
mod common;
mod contrast;
mod fixed_points;
mod golden_values;
mod variants;

use std::path::Path;

use golden::Arrays;

/// A file of `tests/fixtures`.
fn fixture(name: &str) -> Arrays {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Arrays::open(&folder.join(name))
}
