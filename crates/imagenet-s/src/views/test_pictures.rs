//! Pictures for tests.

use golden::Arrays;
use image::RgbImage;
use ndarray::Ix3;

/// The `[height, width, 3]` array called `name` as a picture.
#[track_caller]
pub(super) fn picture_of(arrays: &mut Arrays, name: &str) -> RgbImage {
    let pixels = arrays.array::<u8, Ix3>(name);
    let (height, width, _) = pixels.dim();
    RgbImage::from_raw(
        width as u32,
        height as u32,
        pixels.iter().copied().collect(),
    )
    .unwrap()
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
