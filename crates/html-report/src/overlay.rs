//! Pictures of the report: thumbnails, masks drawn over them, and their bytes in the page.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{
    ExtendedColorType, ImageBuffer, ImageEncoder, ImageFormat, PixelWithColorType, Rgb, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{self, FilterType},
};
use luss_metrics::LabelMask;

use crate::Paint;

/// Share of the class colour within a region; along its edge the colour is nearly pure.
const INSIDE: f32 = 0.55;
const EDGE: f32 = 0.95;
/// The greys of hatched regions.
const STRIPES: [[u8; 3]; 2] = [[198; 3], [70; 3]];

/// The size of a picture fitted into a box, `[width, height]` in pixels, smaller or larger than it was.
///
/// # Panics
///
/// For a picture without pixels.
pub fn fitted([width, height]: [u32; 2], [box_width, box_height]: [u32; 2]) -> [u32; 2] {
    assert!(
        width > 0 && height > 0,
        "a picture of the report has {width} times {height} pixels"
    );
    let scale =
        (f64::from(box_width) / f64::from(width)).min(f64::from(box_height) / f64::from(height));
    [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1))
}

/// The picture [`fitted`] into a box of `[width, height]` pixels.
///
/// # Panics
///
/// For a picture without pixels.
pub fn thumbnail(picture: &RgbImage, within: [u32; 2]) -> RgbImage {
    let [width, height] = fitted(picture.dimensions().into(), within);
    imageops::resize(picture, width, height, FilterType::Triangle)
}

/// The mask [`fitted`] into a box of `[width, height]` pixels, where it is larger: of each pixel the
/// label under its centre.
///
/// # Panics
///
/// For a mask without pixels.
pub fn shrunk(mask: LabelMask, within: [u32; 2]) -> LabelMask {
    let size = [mask.width() as u32, mask.height() as u32];
    let [width, height] = fitted(size, within);
    if width >= size[0] {
        return mask;
    }
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let labels = places.map(|place| label_at(&mask, place, (width, height)));
    let labels = labels.collect();
    LabelMask::new(width as usize, height as usize, labels).expect("a label for each pixel")
}

/// The picture, greyed a little, under the colours of the mask; borders are drawn in nearly pure colours.
///
/// The mask covers the whole picture, whatever its size. Labels are drawn as [`Paint::of`] says.
///
/// # Panics
///
/// For a picture without pixels.
pub fn overlay(picture: &RgbImage, mask: &LabelMask) -> RgbImage {
    overlay_of(picture, mask, Paint::of)
}

/// As [`overlay`], with the `paint` of each label.
///
/// # Panics
///
/// For a picture without pixels.
pub fn overlay_of(picture: &RgbImage, mask: &LabelMask, paint: impl Fn(u16) -> Paint) -> RgbImage {
    let (width, height) = picture.dimensions();
    let label = |x: u32, y: u32| label_at(mask, (x, y), (width, height));
    RgbImage::from_fn(width, height, |x, y| {
        let here = label(x, y);
        let right = label((x + 1).min(width - 1), y);
        let below = label(x, (y + 1).min(height - 1));
        let left = label(x.saturating_sub(1), y);
        let above = label(x, y.saturating_sub(1));
        let edge = [right, below, left, above]
            .iter()
            .any(|&label| label != here);
        painted(*picture.get_pixel(x, y), paint(here), edge, (x + y) % 8 < 4)
    })
}

/// The label under the centre of a pixel of a picture of `size`.
fn label_at(mask: &LabelMask, (x, y): (u32, u32), size: (u32, u32)) -> u16 {
    let column = (2 * x as usize + 1) * mask.width() / (2 * size.0 as usize);
    let row = (2 * y as usize + 1) * mask.height() / (2 * size.1 as usize);
    mask.labels()[row * mask.width() + column]
}

fn painted(pixel: Rgb<u8>, paint: Paint, edge: bool, stripe: bool) -> Rgb<u8> {
    let base = greyed(pixel);
    match paint {
        Paint::Clear => base,
        Paint::Hatched => mixed(base, STRIPES[usize::from(stripe)], 0.7),
        Paint::Color(color) => mixed(base, color, if edge { EDGE } else { INSIDE }),
    }
}

/// Half-way to grey, so that the colours of the classes are the strongest.
fn greyed(Rgb([red, green, blue]): Rgb<u8>) -> Rgb<u8> {
    let grey = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    mixed(Rgb([red, green, blue]), [grey.round() as u8; 3], 0.5)
}

fn mixed(Rgb(base): Rgb<u8>, color: [u8; 3], share: f32) -> Rgb<u8> {
    let mix = |b: u8, c: u8| f32::from(b) + share * (f32::from(c) - f32::from(b));
    Rgb(std::array::from_fn(|i| {
        mix(base[i], color[i]).round() as u8
    }))
}

/// A photograph as it stands in the page; `quality` is that of JPEG, 1 to 100.
pub fn jpeg_uri(picture: &RgbImage, quality: u8) -> String {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("a small RGB picture in memory is always JPEG");
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

/// A drawing as it stands in the page, without loss.
///
/// # Panics
///
/// For a picture without pixels.
pub fn png_uri<P>(picture: &ImageBuffer<P, Vec<u8>>) -> String
where
    P: PixelWithColorType<Subpixel = u8>,
{
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .expect("a picture in memory is always PNG");
    format!(
        "data:image/png;base64,{}",
        STANDARD.encode(png.into_inner())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, label: impl Fn(usize) -> u16) -> LabelMask {
        LabelMask::new(width, height, (0..width * height).map(label).collect()).unwrap()
    }

    #[test]
    fn a_thumbnail_fits_the_box_and_keeps_the_proportions() {
        let fitted =
            |width, height| thumbnail(&RgbImage::new(width, height), [240, 180]).dimensions();
        assert_eq!(fitted(500, 375), (240, 180));
        assert_eq!(fitted(32, 64), (90, 180));
        assert_eq!(fitted(1000, 3), (240, 1));
    }

    #[test]
    fn a_mask_of_another_size_covers_the_whole_picture() {
        let mask = mask(3, 2, |i| i as u16);
        let label = |x, y| label_at(&mask, (x, y), (7, 5));
        assert_eq!([label(0, 0), label(6, 0), label(3, 0)], [0, 2, 1]);
        assert_eq!([label(0, 4), label(6, 4)], [3, 5]);
    }

    #[test]
    fn a_large_mask_is_shrunk_and_a_small_one_stays() {
        let large = mask(8, 4, |i| (i % 8 / 2) as u16);
        let small = shrunk(large, [4, 4]);
        assert_eq!((small.width(), small.height()), (4, 2));
        assert_eq!(small.labels(), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(shrunk(small.clone(), [40, 40]), small);
    }

    #[test]
    fn clear_keeps_the_picture_and_a_color_covers_it() {
        let grey = Rgb([100, 100, 100]);
        assert_eq!(painted(grey, Paint::Clear, true, false), grey);
        let color = [230, 60, 70];
        let edge = painted(grey, Paint::Color(color), true, false).0;
        let close = edge.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(close, "{edge:?}");
        assert_ne!(
            painted(grey, Paint::Hatched, false, false),
            painted(grey, Paint::Hatched, false, true)
        );
    }

    #[test]
    fn a_drawing_is_kept_pixel_by_pixel() {
        let drawn = RgbImage::from_fn(5, 3, |x, y| Rgb([50 * x as u8, 80 * y as u8, 7]));
        let uri = png_uri(&drawn);
        let bytes = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap());
        let read = image::load_from_memory(&bytes.unwrap()).unwrap();
        assert_eq!(read.to_rgb8(), drawn);
    }
}
