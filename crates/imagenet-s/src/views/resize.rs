//! Resizing as Pillow does it, bit for bit: bilinear and bicubic for pictures, nearest for masks.
//!
//! Pillow's bilinear filter is a triangle that widens when the picture shrinks, so it averages
//! instead of skipping pixels; the bicubic one is Keys' kernel with a = -0.5, which widens likewise. Weights are integers of 22 fractional bits; columns are resized
//! first, and what lies between the two passes is rounded to 8 bit. (Pillow 13 resizes rows first
//! for some shapes, which moves a sample by at most one gray level; the published networks were
//! trained with earlier versions.)

use image::RgbImage;
use luss_metrics::LabelMask;
use widest::widest;

use super::taps::{FRACTION_BITS, Filter, Taps};

/// One half in the weights' fixed point, which turns the final shift into rounding.
const HALF: i32 = 1 << (FRACTION_BITS - 1);
/// Samples of an RGB pixel.
const CHANNELS: usize = 3;
/// Rows whose columns are resized at a time; their sums, four for a pixel, stay in registers.
const BAND: usize = 8;

type Pixel = [u8; CHANNELS];
/// A pixel of each row of a band, in four samples.
type Column = [u8; 4 * BAND];

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl Region {
    /// All of a picture of this size.
    pub fn whole(width: u32, height: u32) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    /// Checks that the region is neither empty nor leaves a picture of this size.
    #[track_caller]
    fn assert_inside(&self, width: u32, height: u32) {
        let right = u64::from(self.left) + u64::from(self.width);
        let bottom = u64::from(self.top) + u64::from(self.height);
        assert!(
            self.width > 0 && self.height > 0 && right <= width.into() && bottom <= height.into(),
            "{self:?} is empty or leaves the picture of {width} x {height} pixels"
        );
    }
}

/// Resizes a region of the picture to `width` by `height` with Pillow's bilinear filter.
///
/// The result equals cutting the region first: no pixel outside contributes. A pass that would
/// change nothing is skipped.
///
/// # Panics
///
/// If the region is empty or leaves the picture, or a side of the result is 0.
pub fn resize_bilinear(picture: &RgbImage, region: Region, width: u32, height: u32) -> RgbImage {
    resize_picture(picture, region, width, height, Filter::BILINEAR)
}

/// [`resize_bilinear`] with any filter.
///
/// # Panics
///
/// As [`resize_bilinear`].
pub fn resize_picture(
    picture: &RgbImage,
    region: Region,
    width: u32,
    height: u32,
    filter: Filter,
) -> RgbImage {
    region.assert_inside(picture.width(), picture.height());
    assert!(
        width > 0 && height > 0,
        "cannot resize to {width} x {height} pixels"
    );
    let wide = resize_columns(picture, region, width as usize, filter);
    let pixels = if region.height == height {
        wide
    } else {
        let taps = Taps::new(region.height as usize, height as usize, filter);
        resize_rows(&wide, width as usize * CHANNELS, &taps)
    };
    RgbImage::from_raw(width, height, pixels).expect("width x height x 3 samples")
}

/// Resizes a region of the mask to `width` by `height`; every label is one of the source.
///
/// The label of a pixel is that under its centre (Pillow's "nearest"), unlike torch's, which is
/// that under its corner.
///
/// # Panics
///
/// If the region is empty or leaves the mask, or a side of the result is 0.
pub fn resize_mask(mask: &LabelMask, region: Region, width: u32, height: u32) -> LabelMask {
    region.assert_inside(mask.width() as u32, mask.height() as u32);
    assert!(
        width > 0 && height > 0,
        "cannot resize to {width} x {height} pixels"
    );
    let labels = resize_nearest(mask.labels(), mask.width(), region, width, height);
    LabelMask::new(width as usize, height as usize, labels).expect("width x height labels")
}

/// Resizes a row-major plane of numbers, `from = [width, height]`, to `to`.
///
/// # Panics
///
/// If `from` is not the size of `values`, or a side is 0.
pub fn resize_plane(values: &[f32], from: [usize; 2], to: [usize; 2], filter: Filter) -> Vec<f32> {
    let sides = [from, to].concat();
    assert!(!sides.contains(&0), "cannot resize {from:?} to {to:?}");
    assert_eq!(values.len(), from[0] * from[1], "a plane of {from:?}");
    let [columns, rows] = [0, 1].map(|axis| Taps::new(from[axis], to[axis], filter));
    let lines = values.chunks(from[0]);
    let wide: Vec<f32> = lines
        .flat_map(|line| {
            columns
                .iter()
                .map(|(first, weights)| weighted_mean(&line[first..], weights))
        })
        .collect();
    let column = |at: usize| wide.iter().skip(at).step_by(to[0]).copied();
    let columns: Vec<Vec<f32>> = (0..to[0]).map(|at| column(at).collect()).collect();
    rows.iter()
        .flat_map(|(first, weights)| {
            columns
                .iter()
                .map(move |column| weighted_mean(&column[first..], weights))
        })
        .collect()
}

fn weighted_mean(values: &[f32], weights: &[i32]) -> f32 {
    let products = values
        .iter()
        .zip(weights)
        .map(|(&value, &weight)| f64::from(value) * f64::from(weight));
    (products.sum::<f64>() / f64::from(1 << FRACTION_BITS)) as f32
}

/// Cuts the region and resizes its columns to `width`: samples of `region.height` rows.
fn resize_columns(picture: &RgbImage, region: Region, width: usize, filter: Filter) -> Vec<u8> {
    let columns = region.left as usize..(region.left + region.width) as usize;
    let (pixels, _) = picture.as_raw().as_chunks::<CHANNELS>();
    let rows = pixels.chunks_exact(picture.width() as usize);
    let rows = rows.skip(region.top as usize).take(region.height as usize);
    let rows = rows.map(|row| &row[columns.clone()]);
    if region.width as usize == width {
        return rows.flatten().flatten().copied().collect();
    }
    let rows: Vec<&[Pixel]> = rows.collect();
    let taps = Taps::new(columns.len(), width, filter);
    let mut standing = vec![[0; 4 * BAND]; columns.len()];
    let mut wide = vec![[0; CHANNELS]; rows.len() * width];
    for (output, rows) in wide.chunks_mut(BAND * width).zip(rows.chunks(BAND)) {
        resize_band(rows, &mut standing, output, &taps);
    }
    wide.into_flattened()
}

/// The first pass over up to [`BAND`] rows. Column by column, all of them share a weight.
fn resize_band(rows: &[&[Pixel]], standing: &mut [Column], output: &mut [Pixel], taps: &Taps) {
    type Rows<'a> = &'a [&'a [Pixel]];
    widest!((rows: Rows<'a>, standing: &'a mut [Column], output: &'a mut [Pixel], taps: &'a Taps) -> () {
        stand_up(rows, standing);
        for (at, (first, weights)) in taps.iter().enumerate() {
            let mut sums = [HALF; 4 * BAND];
            for (column, &weight) in standing[first..].iter().zip(weights) {
                add_weighted(&mut sums, column, weight);
            }
            let pixels = sums.map(rounded);
            let rows = output.chunks_exact_mut(taps.outputs());
            for (row, &[red, green, blue, _]) in rows.zip(pixels.as_chunks().0) {
                row[at] = [red, green, blue];
            }
        }
    });
}

/// The pixels of some rows, column by column. What lies below the rows is not touched.
#[inline(always)]
fn stand_up(rows: &[&[Pixel]], standing: &mut [Column]) {
    let place = |column: &mut Column, row: usize, [red, green, blue]: Pixel| {
        column[4 * row..][..4].copy_from_slice(&[red, green, blue, 0]);
    };
    if let Ok(rows) = <[&[Pixel]; BAND]>::try_from(rows) {
        let rows = rows.map(|row| &row[..standing.len()]);
        for (at, column) in standing.iter_mut().enumerate() {
            for (row, pixels) in rows.iter().enumerate() {
                place(column, row, pixels[at]);
            }
        }
    } else {
        for (row, pixels) in rows.iter().enumerate() {
            for (column, &pixel) in standing.iter_mut().zip(*pixels) {
                place(column, row, pixel);
            }
        }
    }
}

/// The second pass: rows of `row_samples` samples.
fn resize_rows(wide: &[u8], row_samples: usize, taps: &Taps) -> Vec<u8> {
    let mut output = vec![0; taps.outputs() * row_samples];
    for (row, (first, weights)) in output.chunks_exact_mut(row_samples).zip(taps.iter()) {
        blend_rows(&wide[first * row_samples..], row, weights);
    }
    output
}

/// The weighted sum of the first rows of `wide`, some samples at a time: their sums stay in
/// registers.
fn blend_rows(wide: &[u8], output: &mut [u8], weights: &[i32]) {
    widest!((wide: &'a [u8], output: &'a mut [u8], weights: &'a [i32]) -> () {
        let row_samples = output.len();
        let (blocks, rest) = output.as_chunks_mut::<{ 4 * BAND }>();
        for (block, output) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; 4 * BAND];
            for (row, &weight) in wide.chunks_exact(row_samples).zip(weights) {
                let samples = row[block * 4 * BAND..].first_chunk().expect("a whole block");
                add_weighted::<{ 4 * BAND }>(&mut sums, samples, weight);
            }
            *output = sums.map(rounded);
        }
        let start = row_samples - rest.len();
        for (at, sample) in rest.iter_mut().enumerate() {
            let rows = wide.chunks_exact(row_samples).zip(weights);
            let sum: i32 = rows.map(|(row, weight)| i32::from(row[start + at]) * weight).sum();
            *sample = rounded(HALF + sum);
        }
    });
}

#[inline(always)]
fn add_weighted<const N: usize>(sums: &mut [i32; N], samples: &[u8; N], weight: i32) {
    for (sum, &sample) in sums.iter_mut().zip(samples) {
        *sum += i32::from(sample) * weight;
    }
}

/// The sample of a weighted sum that already holds the half.
#[inline(always)]
fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

/// Nearest-neighbour resizing of pixels of any kind, in rows of `row_pixels`.
fn resize_nearest<T: Copy>(
    pixels: &[T],
    row_pixels: usize,
    region: Region,
    width: u32,
    height: u32,
) -> Vec<T> {
    let columns = nearest_inputs(region.left, region.width, width);
    let rows = nearest_inputs(region.top, region.height, height);
    let rows = rows
        .iter()
        .map(|row| &pixels[row * row_pixels..][..row_pixels]);
    rows.flat_map(|row| columns.iter().map(|&column| row[column]))
        .collect()
}

/// The input under the centre of every output along one axis.
pub(super) fn nearest_inputs(first: u32, inputs: u32, outputs: u32) -> Vec<usize> {
    let scale = f64::from(inputs) / f64::from(outputs);
    // Pillow adds the step up instead of multiplying, which decides ties.
    let centres = std::iter::successors(Some(scale * 0.5), |centre| Some(centre + scale));
    let inside = centres.map(|centre| (centre as u32).min(inputs - 1));
    inside
        .take(outputs as usize)
        .map(|input| (first + input) as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_pictures::{pattern, picture_of};
    use super::*;
    use golden::Arrays;

    /// The five crops of the golden file: region and side. Results are kept up to 48 pixels.
    fn golden_crops(golden: &mut Arrays) -> Vec<(Region, u32)> {
        let crops =
            (0..5).map(|i| golden.array::<i64, ndarray::Ix1>(&format!("crop{i}_tlhw_size")));
        let crops = crops.map(|crop| crop.mapv(|number| number as u32));
        crops
            .map(|c| {
                (
                    Region {
                        top: c[0],
                        left: c[1],
                        height: c[2],
                        width: c[3],
                    },
                    c[4],
                )
            })
            .collect()
    }

    fn upper_left(picture: &RgbImage, like: &RgbImage) -> RgbImage {
        image::imageops::crop_imm(picture, 0, 0, like.width(), like.height()).to_image()
    }

    /// Sums and first samples of `Image.fromarray(a).resize(size, Image.BICUBIC)`, Pillow 13, where
    /// `a[y, x, c] = (37 x + 91 y + 53 c (x + 1)) % 256`.
    #[test]
    fn bicubic_pictures_equal_those_of_pillow() {
        let picture = RgbImage::from_fn(7, 5, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((37 * x + 91 * y + 53 * c * (x + 1)) % 256) as u8))
        });
        for (size, sum, first) in [
            ([3, 2], 2297, [95, 147, 147, 130, 161, 114, 133, 141, 114]),
            ([9, 8], 27480, [0, 42, 92, 15, 100, 218, 46, 199, 221]),
        ] {
            let whole = Region::whole(7, 5);
            let resized = resize_picture(&picture, whole, size[0], size[1], Filter::BICUBIC);
            assert_eq!(resized.as_raw()[..9], first);
            assert_eq!(
                resized.iter().map(|&sample| u32::from(sample)).sum::<u32>(),
                sum
            );
        }
    }

    #[test]
    fn bilinear_crops_equal_the_reference() {
        let mut golden = golden::open("transforms.npz");
        let picture = picture_of(&mut golden, "image");
        for (index, (region, side)) in golden_crops(&mut golden).into_iter().enumerate() {
            let expected = picture_of(&mut golden, &format!("crop{index}"));
            let actual = upper_left(&resize_bilinear(&picture, region, side, side), &expected);
            // Crop 2 grows in width and shrinks in height: Pillow 13, which made the golden file,
            // then resizes rows first. Pillow 10 resizes columns first always, as we do.
            let tolerance = if index == 2 { 1 } else { 0 };
            let differences = actual
                .iter()
                .zip(expected.iter())
                .map(|(a, b)| a.abs_diff(*b));
            assert!(
                differences.max() <= Some(tolerance),
                "crop {index}: {region:?}"
            );
        }
    }

    /// Oracle: Pillow 10.4, `Image.resize((5, 4), Image.BILINEAR)` of the same pattern. Two
    /// samples would differ if rows came first.
    #[test]
    fn columns_come_first_even_where_rows_shrink() {
        let resized = resize_bilinear(&pattern(3, 13), Region::whole(3, 13), 5, 4);
        let rows: [[u8; 15]; 4] = [
            [16, 7, 10, 31, 7, 13, 53, 8, 17, 75, 10, 21, 90, 11, 24],
            [48, 22, 63, 63, 22, 66, 85, 23, 70, 107, 25, 74, 122, 26, 77],
            [
                84, 38, 158, 99, 38, 161, 121, 39, 165, 143, 41, 141, 158, 42, 126,
            ],
            [
                116, 53, 130, 131, 53, 133, 153, 54, 137, 175, 56, 119, 190, 57, 106,
            ],
        ];
        assert_eq!(resized.into_raw(), rows.concat());
    }

    #[test]
    fn nearest_crops_equal_the_reference() {
        let mut golden = golden::open("transforms.npz");
        let picture = picture_of(&mut golden, "image");
        let (pixels, _) = picture.as_raw().as_chunks::<3>();
        for (index, (region, side)) in golden_crops(&mut golden).into_iter().enumerate() {
            let expected = picture_of(&mut golden, &format!("crop{index}_nearest"));
            let actual = resize_nearest(pixels, picture.width() as usize, region, side, side);
            let actual = RgbImage::from_raw(side, side, actual.concat()).unwrap();
            assert_eq!(
                upper_left(&actual, &expected),
                expected,
                "crop {index}: {region:?}"
            );
        }
    }

    #[test]
    fn an_unchanged_size_is_a_plain_cut() {
        let picture = pattern(13, 9);
        let region = Region {
            left: 2,
            top: 1,
            width: 7,
            height: 5,
        };
        let cut = image::imageops::crop_imm(&picture, 2, 1, 7, 5).to_image();
        assert_eq!(resize_bilinear(&picture, region, 7, 5), cut);
        assert_eq!(
            resize_bilinear(&picture, Region::whole(13, 9), 13, 9),
            picture
        );
    }

    #[test]
    fn a_flat_picture_stays_flat_at_every_size() {
        let picture = RgbImage::from_pixel(17, 11, image::Rgb([255, 128, 1]));
        for (width, height) in [(1, 1), (5, 23), (40, 3), (17, 12)] {
            let resized = resize_bilinear(&picture, Region::whole(17, 11), width, height);
            assert!(
                resized.pixels().all(|p| p.0 == [255, 128, 1]),
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn halving_averages_four_columns_with_a_triangle() {
        let picture = RgbImage::from_raw(4, 1, vec![0, 8, 80, 0, 16, 80, 0, 24, 80, 8, 32, 80]);
        let halved = resize_bilinear(&picture.unwrap(), Region::whole(4, 1), 2, 1);
        // Weights 3/7 3/7 1/7 at the left border: (3*8 + 3*16 + 24) / 7 = 13.7; mirrored right.
        assert_eq!(halved.into_raw(), [0, 14, 80, 3, 26, 80]);
    }

    #[test]
    fn a_mask_takes_the_label_under_the_centre_of_the_pixel() {
        let mask = LabelMask::new(5, 1, vec![10, 11, 12, 13, 14]).unwrap();
        let half = resize_mask(&mask, Region::whole(5, 1), 2, 1);
        assert_eq!(half.labels(), [11, 13]);
        let region = Region {
            left: 1,
            top: 0,
            width: 2,
            height: 1,
        };
        let doubled = resize_mask(&mask, region, 4, 2);
        assert_eq!(doubled.labels(), [11, 11, 12, 12, 11, 11, 12, 12]);
    }

    #[test]
    #[should_panic(expected = "leaves the picture of 13 x 9")]
    fn a_region_outside_the_picture_is_a_bug() {
        let region = Region {
            left: 8,
            top: 0,
            width: 6,
            height: 5,
        };
        resize_bilinear(&pattern(13, 9), region, 4, 4);
    }
}
