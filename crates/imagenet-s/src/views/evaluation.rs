//! Views without chance: whole pictures for labels and prediction, centres for clustering.

use super::{
    resize::{Region, resize_bilinear, resize_picture},
    taps::Filter,
};
use image::RgbImage;

/// Resizes the picture so that its shorter side has `side` pixels.
///
/// The longer side becomes `side * long / short`, rounded down. The reference uses 256 and
/// [`Filter::BILINEAR`] for label generation, distance matching and prediction.
///
/// # Panics
///
/// If the picture has no pixels or `side` is 0.
pub fn resize_shorter(picture: &RgbImage, side: u32, filter: Filter) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    assert!(
        short > 0 && side > 0,
        "cannot resize {width} x {height} to a shorter side of {side}"
    );
    let longer = (u64::from(side) * u64::from(long) / u64::from(short)) as u32;
    let (new_width, new_height) = if width <= height {
        (side, longer)
    } else {
        (longer, side)
    };
    let whole = Region::whole(width, height);
    resize_picture(picture, whole, new_width, new_height, filter)
}

/// Cuts the central square of `side` pixels; a half pixel of offset goes to the even neighbour.
///
/// After [`resize_shorter`] to 256, the reference takes 224 for clustering.
///
/// # Panics
///
/// If the picture is smaller than the square or `side` is 0.
pub fn center_crop(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    assert!(
        side <= width.min(height),
        "a picture of {width} x {height} has no {side} px square"
    );
    let offset = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
    let region = Region {
        left: offset(width),
        top: offset(height),
        width: side,
        height: side,
    };
    resize_bilinear(picture, region, side, side)
}

#[cfg(test)]
mod tests {
    use super::super::test_pictures::{pattern, picture_of};
    use super::*;

    #[test]
    fn resizing_and_cutting_equal_the_reference() {
        let mut golden = golden::open("transforms.npz");
        let resized = resize_shorter(&picture_of(&mut golden, "image"), 32, Filter::BILINEAR);
        assert_eq!(resized, picture_of(&mut golden, "resize_short_32"));
        assert_eq!(
            center_crop(&resized, 24),
            picture_of(&mut golden, "center_crop_24")
        );
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(
            resize_shorter(&pattern(60, 45), 32, Filter::BILINEAR).dimensions(),
            (42, 32)
        );
        assert_eq!(
            resize_shorter(&pattern(45, 60), 32, Filter::BILINEAR).dimensions(),
            (32, 42)
        );
        assert_eq!(
            resize_shorter(&pattern(45, 60), 45, Filter::BILINEAR),
            pattern(45, 60)
        );
    }

    #[test]
    fn half_offsets_go_to_the_even_pixel() {
        // Offsets 0.5 -> 0 and 1.5 -> 2.
        let cut = center_crop(&pattern(8, 6), 5);
        assert_eq!(
            cut,
            image::imageops::crop_imm(&pattern(8, 6), 2, 0, 5, 5).to_image()
        );
    }

    #[test]
    #[should_panic(expected = "has no 7 px square")]
    fn a_square_larger_than_the_picture_is_a_bug() {
        center_crop(&pattern(9, 6), 7);
    }
}
