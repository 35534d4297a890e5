//! Paired crop: a picture and its mask under one random rectangle, for the fine-tuning.

use super::{
    crop::{CropFrame, resized_crop},
    resize::{Region, nearest_inputs, resize_mask},
    stream::Stream,
    taps::Filter,
};
use image::RgbImage;
use luss_metrics::LabelMask;
use std::borrow::Cow;

/// Probability of mirroring both.
const FLIP_PROBABILITY: f64 = 0.5;

/// A random rectangle that is cut out of a picture and of its mask, mirrored or not, and brought
/// to a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairedCrop {
    frame: CropFrame,
    side: u32,
}

impl PairedCrop {
    /// Draws a rectangle inside a picture of `sides` pixels, to be `size` by `size`. Its area is a
    /// share of the picture's in `min_scale..max_scale`; the reference uses 224 and `0.08..1`.
    ///
    /// # Panics
    ///
    /// If the picture has no pixels or `size` is 0.
    pub fn random(
        sides: [u32; 2],
        size: usize,
        min_scale: f64,
        max_scale: f64,
        stream: &mut Stream,
    ) -> Self {
        assert!(size > 0, "a crop has pixels");
        let frame = CropFrame::random(sides, [min_scale, max_scale], FLIP_PROBABILITY, stream);
        let side = size as u32;
        Self { frame, side }
    }

    /// What it shows of the picture, by Pillow's bilinear filter.
    pub fn picture(&self, picture: &RgbImage) -> RgbImage {
        resized_crop(picture, &self.frame, [self.side; 2], Filter::BILINEAR)
    }

    /// What it shows of a mask of the picture's size: Pillow's nearest, so that it holds no label
    /// that the mask does not.
    pub fn mask(&self, mask: &LabelMask) -> LabelMask {
        cropped_mask(mask, &self.frame, self.side)
    }

    /// The columns and the rows of the picture's mask that [`PairedCrop::mask`] shows, in its
    /// order: a mask that is computed when it is needed need not be computed elsewhere.
    pub fn mask_pixels(&self) -> [Vec<usize>; 2] {
        let frame = &self.frame;
        let mut columns = nearest_inputs(frame.left, frame.width, self.side);
        if frame.flip {
            columns.reverse();
        }
        [columns, nearest_inputs(frame.top, frame.height, self.side)]
    }
}

/// One random resized crop of `size` by `size` pixels, applied to the picture and to its mask.
///
/// See [`PairedCrop`]. A mask of another size than the picture is brought to the picture's size
/// first, nearest too.
///
/// # Panics
///
/// If the picture or the mask has no pixels or `size` is 0.
pub fn paired_crop(
    picture: &RgbImage,
    mask: &LabelMask,
    size: usize,
    min_scale: f64,
    max_scale: f64,
    stream: &mut Stream,
) -> (RgbImage, LabelMask) {
    let sides = [picture.width(), picture.height()];
    let crop = PairedCrop::random(sides, size, min_scale, max_scale, stream);
    (crop.picture(picture), crop.mask(&mask_of_size(mask, sides)))
}

/// The mask at the picture's size, untouched where it has it already.
fn mask_of_size(mask: &LabelMask, [width, height]: [u32; 2]) -> Cow<'_, LabelMask> {
    let whole = Region::whole(mask.width() as u32, mask.height() as u32);
    if whole == Region::whole(width, height) {
        Cow::Borrowed(mask)
    } else {
        Cow::Owned(resize_mask(mask, whole, width, height))
    }
}

/// Cut, resized to `side` by `side`, and mirrored if the frame says so.
fn cropped_mask(mask: &LabelMask, frame: &CropFrame, side: u32) -> LabelMask {
    let mut cropped = resize_mask(mask, frame.region(), side, side);
    if frame.flip {
        for row in cropped.labels_mut().chunks_exact_mut(side as usize) {
            row.reverse();
        }
    }
    cropped
}

#[cfg(test)]
mod tests {
    use super::super::stream::Purpose;
    use super::*;
    use std::collections::HashSet;

    /// A picture whose red channel is its label, in four flat quarters.
    fn quarters(width: u32, height: u32) -> (RgbImage, LabelMask) {
        let label = |x, y| 1 + u16::from(x >= width / 2) + 2 * u16::from(y >= height / 2);
        let picture = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([label(x, y) as u8 * 50, 0, 0])
        });
        let labels = (0..height)
            .flat_map(|y| (0..width).map(move |x| label(x, y)))
            .collect();
        (
            picture,
            LabelMask::new(width as usize, height as usize, labels).unwrap(),
        )
    }

    fn crop(index: u64, size: usize, mask: &LabelMask) -> (RgbImage, LabelMask) {
        let (picture, _) = quarters(40, 30);
        let mut stream = Stream::new(1, 0, index, Purpose::Pair);
        paired_crop(&picture, mask, size, 0.08, 1.0, &mut stream)
    }

    #[test]
    fn the_crop_holds_no_label_that_the_mask_does_not() {
        let labels = (0..1200).map(|i| [0, 7, 919, 1000][i % 4]).collect();
        let mask = LabelMask::new(40, 30, labels).unwrap();
        for index in 0..50 {
            let (_, cropped) = crop(index, 13, &mask);
            let found = cropped.labels().iter().copied().collect::<HashSet<_>>();
            assert!(
                found.is_subset(&HashSet::from([0, 7, 919, 1000])),
                "{found:?}"
            );
        }
    }

    #[test]
    fn picture_and_mask_stay_on_top_of_each_other() {
        let (_, mask) = quarters(40, 30);
        let mut labels = HashSet::new();
        for index in 0..50 {
            let (picture, cropped) = crop(index, 16, &mask);
            for (pixel, &label) in picture.pixels().zip(cropped.labels()) {
                // Bilinear mixtures at the seams are neither colour.
                if pixel[0] % 50 == 0 && pixel[0] < 100 {
                    assert_eq!(u16::from(pixel[0]) / 50, label, "crop {index}");
                }
                labels.insert(label);
            }
        }
        assert_eq!(labels, HashSet::from([1, 2, 3, 4]));
    }

    #[test]
    fn a_mask_of_another_size_is_brought_to_the_picture() {
        let (_, mask) = quarters(40, 30);
        let (_, coarse) = quarters(8, 6);
        for index in 0..10 {
            assert_eq!(crop(index, 9, &coarse), crop(index, 9, &mask));
        }
    }

    #[test]
    fn the_pixels_of_the_mask_are_those_that_the_crop_shows() {
        let labels = (0..1200).collect();
        let mask = LabelMask::new(40, 30, labels).unwrap();
        let mut flips = HashSet::new();
        for index in 0..40 {
            let mut stream = Stream::new(1, 0, index, Purpose::Pair);
            let crop = PairedCrop::random([40, 30], 17, 0.08, 1.0, &mut stream);
            let [columns, rows] = crop.mask_pixels();
            let label = |row: usize, column: usize| (row * 40 + column) as u16;
            let shown: Vec<u16> = rows
                .iter()
                .flat_map(|&row| columns.iter().map(move |&column| label(row, column)))
                .collect();
            assert_eq!(crop.mask(&mask).labels(), shown);
            flips.insert(crop.frame.flip);
        }
        assert_eq!(flips.len(), 2, "both kinds were drawn");
    }

    #[test]
    fn the_same_stream_gives_the_same_pair() {
        let (_, mask) = quarters(40, 30);
        assert_eq!(crop(4, 9, &mask), crop(4, 9, &mask));
        assert_ne!(crop(4, 9, &mask), crop(5, 9, &mask));
    }
}
