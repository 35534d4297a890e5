//! Reads the golden arrays of the reference, where a checkout has them.

use image::RgbImage;
use ndarray::{Array, Dimension};
use ndarray_npy::{NpzReader, ReadableElement};
use std::{fs::File, path::Path};

/// One `.npz` file of golden arrays.
pub(super) struct Golden(NpzReader<File>);

impl Golden {
    /// Opens `shared/golden/method/<name>`, or says that it is absent and returns `None`.
    pub(super) fn open(name: &str) -> Option<Self> {
        let folder = "../../../shared/golden/method";
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(folder)
            .join(name);
        let Ok(file) = File::open(&path) else {
            eprintln!("skipped: {} is absent", path.display());
            return None;
        };
        Some(Self(
            NpzReader::new(file).expect("a golden file is an npz archive"),
        ))
    }

    /// The array called `name`.
    #[track_caller]
    pub(super) fn array<T: ReadableElement, D: Dimension>(&mut self, name: &str) -> Array<T, D> {
        self.0
            .by_name(name)
            .unwrap_or_else(|e| panic!("golden array {name}: {e}"))
    }

    /// The `[height, width, 3]` array called `name` as a picture.
    #[track_caller]
    pub(super) fn picture(&mut self, name: &str) -> RgbImage {
        let pixels = self.array::<u8, ndarray::Ix3>(name);
        let (height, width, _) = pixels.dim();
        RgbImage::from_raw(
            width as u32,
            height as u32,
            pixels.iter().copied().collect(),
        )
        .unwrap()
    }
}

/// A picture with structure in every channel; no two neighbours are equal.
pub(super) fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([
            (x * 37 + y * 11) as u8,
            (x * x + 5 * y) as u8,
            (7 * x + y * y * 3) as u8,
        ])
    })
}
