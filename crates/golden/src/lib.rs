//! Golden vectors: what independent programs computed, and the one reader of it. For tests alone.
//!
//! The files lie in `data/`, described in `README.md`. They are a part of every checkout, so a test
//! that does not find one fails. Everything here panics: a test cannot go on without its numbers.

mod arrays;
mod python;
#[cfg(feature = "burn")]
mod tensors;

pub use arrays::Arrays;
pub use ndarray_npy::ReadableElement;
pub use python::run_python;
#[cfg(feature = "burn")]
pub use tensors::{assert_near, data_of};

use std::path::{Path, PathBuf};

/// The path of a file or folder of `data/`.
///
/// # Panics
///
/// If it is absent.
#[track_caller]
pub fn path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name);
    assert!(path.exists(), "{} is absent", path.display());
    path
}

/// The path of a file or folder of `../shared`, which lies beside some checkouts. A test that asks for
/// one is ignored, with the reason in its attribute, and has `shared` in its name, by which CI finds it.
///
/// # Panics
///
/// If it is absent.
#[track_caller]
pub fn shared(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let path = root.join(name);
    assert!(path.exists(), "{} is absent", path.display());
    path
}

/// The arrays of an `.npz` file of `data/`.
///
/// # Panics
///
/// If it is absent or no archive.
#[track_caller]
pub fn open(name: &str) -> Arrays {
    Arrays::open(&path(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bytes_below(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let bytes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
            true => bytes_below(&entry.path()),
            false => entry.metadata().unwrap().len(),
        });
        bytes.sum()
    }

    /// Every clone pays for them.
    #[test]
    fn the_vectors_are_five_megabytes_at_most() {
        let bytes = bytes_below(&path("."));
        assert!((4_000_000..=5_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    #[should_panic(expected = "is absent")]
    fn an_absent_file_is_a_failure() {
        path("no.npz");
    }
}
