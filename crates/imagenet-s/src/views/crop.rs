//! Random resized crop: a random rectangle of a picture, mirrored or not, at a fixed size.

use super::{
    resize::{Region, resize_picture},
    stream::Stream,
    taps::Filter,
};
use image::{RgbImage, imageops::flip_horizontal_in_place};
use serde::{Deserialize, Serialize};

/// Greatest ratio of the sides of a random crop, where nothing else is said.
pub(super) const MAX_ASPECT: f64 = 4.0 / 3.0;
/// Rectangles tried before the centred one is taken.
const ATTEMPTS: usize = 10;

/// Which rectangles a random crop may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropShapes {
    /// Least and greatest area, as shares of the picture's, in `0..=1`.
    pub scales: [f64; 2],
    /// Greatest ratio of the longer side to the shorter, at least 1.
    pub max_aspect: f64,
}

/// Areas, with sides of 3 : 4 at most.
impl From<[f64; 2]> for CropShapes {
    fn from(scales: [f64; 2]) -> Self {
        Self {
            scales,
            max_aspect: MAX_ASPECT,
        }
    }
}

impl CropShapes {
    /// Least and greatest ratio width / height.
    fn aspects(&self) -> [f64; 2] {
        [1.0 / self.max_aspect, self.max_aspect]
    }

    /// Width and height of a random area and aspect, not yet known to fit.
    fn sides(&self, area: f64, stream: &mut Stream) -> [u32; 2] {
        let target = area * stream.uniform(self.scales[0], self.scales[1]);
        let [least, greatest] = self.aspects().map(f64::ln);
        let aspect = stream.uniform(least, greatest).exp();
        [target * aspect, target / aspect].map(|square| square.sqrt().round_ties_even() as u32)
    }
}

/// Where a crop lies in its picture, in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CropFrame {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Whether the crop is mirrored left to right after cutting.
    pub flip: bool,
}

impl CropFrame {
    /// Draws a frame inside a picture of `width_px` by `height_px`.
    ///
    /// 1. The area is uniform between the two scales of the picture's area, the aspect log-uniform
    ///    between the greatest and its inverse, both sides rounded half to even.
    /// 2. A rectangle that fits is placed uniformly; one that does not is drawn again.
    /// 3. After ten failures (very long pictures) it is the centred rectangle of the nearest
    ///    allowed aspect.
    /// 4. It is mirrored with probability `flip_probability`.
    ///
    /// # Panics
    ///
    /// If the picture has no pixels.
    pub fn random(
        [width_px, height_px]: [u32; 2],
        shapes: impl Into<CropShapes>,
        flip_probability: f64,
        stream: &mut Stream,
    ) -> Self {
        let shapes = shapes.into();
        assert!(
            width_px > 0 && height_px > 0,
            "a picture of {width_px} x {height_px} pixels"
        );
        let placed = (0..ATTEMPTS).find_map(|_| {
            let area = f64::from(width_px) * f64::from(height_px);
            let [width, height] = shapes.sides(area, stream);
            let fits = (1..=width_px).contains(&width) && (1..=height_px).contains(&height);
            fits.then(|| Self::placed([width_px, height_px], [width, height], stream))
        });
        let frame =
            placed.unwrap_or_else(|| Self::centred([width_px, height_px], shapes.aspects()));
        Self {
            flip: stream.chance(flip_probability),
            ..frame
        }
    }

    /// The rectangle without the mirroring.
    pub fn region(&self) -> Region {
        Region {
            left: self.left,
            top: self.top,
            width: self.width,
            height: self.height,
        }
    }

    /// A rectangle of these sides at a uniform place.
    fn placed(picture: [u32; 2], [width, height]: [u32; 2], stream: &mut Stream) -> Self {
        let top = stream.below((picture[1] - height) as usize + 1) as u32;
        let left = stream.below((picture[0] - width) as usize + 1) as u32;
        Self {
            left,
            top,
            width,
            height,
            flip: false,
        }
    }

    /// The largest centred rectangle of an allowed aspect.
    fn centred([width_px, height_px]: [u32; 2], [least, greatest]: [f64; 2]) -> Self {
        let (picture_width, picture_height) = (f64::from(width_px), f64::from(height_px));
        let aspect = picture_width / picture_height;
        let (mut width, mut height) = (width_px, height_px);
        if aspect < least {
            height = (picture_width / least).round_ties_even() as u32;
        } else if aspect > greatest {
            width = (picture_height * greatest).round_ties_even() as u32;
        }
        let (left, top) = ((width_px - width) / 2, (height_px - height) / 2);
        Self {
            left,
            top,
            width,
            height,
            flip: false,
        }
    }
}

/// Cuts the frame out of the picture, resizes it to `width` by `height` with Pillow's filter and mirrors it.
///
/// The cut comes first: no pixel outside the frame contributes.
///
/// # Panics
///
/// If the frame leaves the picture or a side is 0.
pub fn resized_crop(
    picture: &RgbImage,
    frame: &CropFrame,
    [width, height]: [u32; 2],
    filter: Filter,
) -> RgbImage {
    let mut crop = resize_picture(picture, frame.region(), width, height, filter);
    if frame.flip {
        flip_horizontal_in_place(&mut crop);
    }
    crop
}

#[cfg(test)]
mod tests {
    use super::super::{
        stream::Purpose,
        test_pictures::{pattern, picture_of},
    };
    use super::*;

    fn stream(picture: u64) -> Stream {
        Stream::new(1, 0, picture, Purpose::Pair)
    }

    #[test]
    fn frames_lie_inside_the_picture_and_keep_scale_and_aspect() {
        for picture in 0..500 {
            let frame = CropFrame::random([300, 200], [0.14, 0.5], 0.5, &mut stream(picture));
            let CropFrame {
                left,
                top,
                width,
                height,
                ..
            } = frame;
            assert!(left + width <= 300 && top + height <= 200, "{frame:?}");
            let scale = f64::from(width * height) / 60_000.0;
            let aspect = f64::from(width) / f64::from(height);
            // Rounding a side moves the area and the aspect by about one percent here.
            assert!((0.13..0.51).contains(&scale), "{frame:?}");
            assert!((0.74..1.35).contains(&aspect), "{frame:?}");
        }
    }

    #[test]
    fn the_sides_of_a_square_crop_are_equal() {
        let shapes = CropShapes {
            scales: [0.25, 0.25],
            max_aspect: 1.0,
        };
        for picture in 0..20 {
            let frame = CropFrame::random([80, 50], shapes, 0.5, &mut stream(picture));
            assert_eq!([frame.width, frame.height], [32, 32]); // a quarter of 4000 pixels
        }
    }

    #[test]
    fn both_mirrorings_and_all_borders_occur() {
        // So small that a frame touches one border at most of each axis.
        let frames = (0..500).map(|i| CropFrame::random([9, 7], [0.05, 0.2], 0.5, &mut stream(i)));
        let frames = frames.collect::<Vec<_>>();
        let flips = frames.iter().filter(|frame| frame.flip).count();
        assert!((200..300).contains(&flips), "{flips} of 500");
        assert!(frames.iter().any(|f| f.left == 0) && frames.iter().any(|f| f.left + f.width == 9));
        assert!(frames.iter().any(|f| f.top == 0) && frames.iter().any(|f| f.top + f.height == 7));
    }

    #[test]
    fn a_very_long_picture_gets_the_centred_crop_of_the_nearest_aspect() {
        let wide = CropFrame::random([1000, 30], [0.9, 1.0], 0.0, &mut stream(0));
        assert_eq!(
            wide,
            CropFrame {
                left: 480,
                top: 0,
                width: 40,
                height: 30,
                flip: false
            }
        );
        let tall = CropFrame::random([30, 1001], [0.9, 1.0], 0.0, &mut stream(0));
        assert_eq!(
            tall,
            CropFrame {
                left: 0,
                top: 480,
                width: 30,
                height: 40,
                flip: false
            }
        );
    }

    #[test]
    fn a_single_pixel_can_be_cropped() {
        let frame = CropFrame::random([1, 1], [0.05, 0.14], 0.0, &mut stream(0));
        assert_eq!(
            frame,
            CropFrame {
                left: 0,
                top: 0,
                width: 1,
                height: 1,
                flip: false
            }
        );
        let pixel = RgbImage::from_pixel(1, 1, image::Rgb([9, 8, 7]));
        let flat = RgbImage::from_pixel(3, 2, image::Rgb([9, 8, 7]));
        assert_eq!(resized_crop(&pixel, &frame, [3, 2], Filter::BILINEAR), flat);
    }

    #[test]
    fn pixels_outside_the_frame_never_contribute() {
        let picture = pattern(20, 15);
        let frame = CropFrame {
            left: 4,
            top: 3,
            width: 9,
            height: 7,
            flip: true,
        };
        let cut = image::imageops::crop_imm(&picture, 4, 3, 9, 7).to_image();
        let whole = CropFrame {
            left: 0,
            top: 0,
            ..frame
        };
        assert_eq!(
            resized_crop(&picture, &frame, [5, 11], Filter::BILINEAR),
            resized_crop(&cut, &whole, [5, 11], Filter::BILINEAR)
        );
    }

    #[test]
    fn mirroring_equals_the_reference() {
        let mut golden = golden::open("transforms.npz");
        let picture = picture_of(&mut golden, "image");
        let [width, height] = [picture.width(), picture.height()];
        let frame = CropFrame {
            left: 0,
            top: 0,
            width,
            height,
            flip: true,
        };
        assert_eq!(
            resized_crop(&picture, &frame, [width, height], Filter::BILINEAR),
            picture_of(&mut golden, "hflip")
        );
    }
}
