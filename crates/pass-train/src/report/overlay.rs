//! Pictures of the report: thumbnails, masks drawn over them, and their bytes in the page.

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{
    ExtendedColorType, ImageEncoder, Rgb, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{self, FilterType},
};
use imagenet_s::palette::color_of;
use luss_metrics::{IGNORE, LabelMask};

/// Share of the class colour within a region; along its edge the colour is nearly pure.
const INSIDE: f32 = 0.55;
const EDGE: f32 = 0.95;

/// The picture fitted into a box of `[width, height]` pixels, smaller or larger than it was.
pub(super) fn thumbnail(picture: &RgbImage, [box_width, box_height]: [u32; 2]) -> RgbImage {
    let (width, height) = picture.dimensions();
    assert!(
        width > 0 && height > 0,
        "a picture of the report has {width} times {height} pixels"
    );
    let scale =
        (f64::from(box_width) / f64::from(width)).min(f64::from(box_height) / f64::from(height));
    let fitted = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    imageops::resize(picture, fitted(width), fitted(height), FilterType::Triangle)
}

/// The picture, greyed a little, under the colours of the mask; borders are drawn in nearly pure colours.
///
/// The mask covers the whole picture, whatever its size.
///
/// # Panics
///
/// For a picture without pixels.
pub fn overlay(picture: &RgbImage, mask: &LabelMask) -> RgbImage {
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
        painted(*picture.get_pixel(x, y), here, edge, (x + y) % 8 < 4)
    })
}

/// The label under the centre of a pixel of a picture of `size`.
fn label_at(mask: &LabelMask, (x, y): (u32, u32), size: (u32, u32)) -> u16 {
    let column = (2 * x as usize + 1) * mask.width() / (2 * size.0 as usize);
    let row = (2 * y as usize + 1) * mask.height() / (2 * size.1 as usize);
    mask.labels()[row * mask.width() + column]
}

fn painted(pixel: Rgb<u8>, label: u16, edge: bool, stripe: bool) -> Rgb<u8> {
    let base = greyed(pixel);
    match color_of(label) {
        None => base,
        Some(color) if label == IGNORE => {
            let stripe = if stripe {
                [70; 3]
            } else {
                color.map(|channel| channel.saturating_add(70))
            };
            mixed(base, stripe, 0.7)
        }
        Some(color) => mixed(base, color, if edge { EDGE } else { INSIDE }),
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

/// A picture as it stands in the page; `quality` is that of JPEG, 1 to 100.
pub(super) fn data_uri(picture: &RgbImage, quality: u8) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use luss_metrics::OTHER;

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
    fn other_keeps_the_picture_and_a_class_colors_it() {
        let grey = Rgb([100, 100, 100]);
        assert_eq!(painted(grey, OTHER, true, false), grey);
        let [red, green, blue] = color_of(1).unwrap();
        let edge = painted(grey, 1, true, false).0;
        let close = |a: u8, b: u8| a.abs_diff(b) < 12;
        assert!(
            close(edge[0], red) && close(edge[1], green) && close(edge[2], blue),
            "{edge:?}"
        );
        assert_ne!(
            painted(grey, IGNORE, false, false),
            painted(grey, IGNORE, false, true)
        );
    }
}
