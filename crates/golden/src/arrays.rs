//! Reads `.npz` files.

use std::{fs::File, path::Path};

use ndarray::{Array, ArrayD, Dimension, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

/// The arrays of one `.npz` file, by name.
pub struct Arrays(NpzReader<File>);

impl Arrays {
    /// Opens any `.npz` file, such as a fixture of a crate; for those of this crate see
    /// [`open`](crate::open).
    ///
    /// # Panics
    ///
    /// If it is absent or no archive.
    #[track_caller]
    pub fn open(path: &Path) -> Self {
        let file = File::open(path).map_err(|error| error.to_string());
        let reader = file.and_then(|file| NpzReader::new(file).map_err(|error| error.to_string()));
        Self(reader.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The names of all arrays.
    pub fn names(&mut self) -> Vec<String> {
        self.0.names().expect("an archive lists its files")
    }

    /// Whether there are numbers of this name; a file may say `none` instead.
    pub fn has(&mut self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// An array of exactly this type.
    ///
    /// # Panics
    ///
    /// If it is absent, or of another type or number of axes.
    #[track_caller]
    pub fn array<T: ReadableElement, D: Dimension>(&mut self, name: &str) -> Array<T, D> {
        let array = self.0.by_name(name);
        array.unwrap_or_else(|error| panic!("array {name}: {error}"))
    }

    /// An array of numbers of any type.
    ///
    /// # Panics
    ///
    /// If it is absent or not of numbers.
    #[track_caller]
    pub fn numbers(&mut self, name: &str) -> ArrayD<f64> {
        self.find(name)
            .unwrap_or_else(|| panic!("array {name} is absent or not of numbers"))
    }

    fn find(&mut self, name: &str) -> Option<ArrayD<f64>> {
        macro_rules! of {
            ($($kind:ty),*) => {
                $(if let Ok(array) = self.0.by_name::<OwnedRepr<$kind>, IxDyn>(name) {
                    return Some(array.mapv(|value| value as f64));
                })*
            };
        }
        of!(f64, f32, i64, i32, i16, u8);
        None
    }

    /// The only number of an array.
    ///
    /// # Panics
    ///
    /// As [`numbers`](Self::numbers), and if there are several.
    #[track_caller]
    pub fn number(&mut self, name: &str) -> f64 {
        let array = self.numbers(name);
        assert_eq!(array.len(), 1, "array {name}");
        array.sum()
    }
}
