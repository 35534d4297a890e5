//! Gaussian blur as Pillow does it, bit for bit: three box blurs along each axis.
//!
//! The box of radius `r = l + a` averages `2l + 1` samples with weight 1 and the two next ones
//! with weight `a` (Gwosdek et al. 2011, "Theoretical foundations of Gaussian convolution by
//! extended box filtering"). Weights have 24 fractional bits, every pass is rounded to 8 bit and
//! borders are repeated. Three passes differ from a true Gaussian by one or two gray levels.

use image::RgbImage;
use widest::widest;

/// Box blurs along each axis.
const PASSES: usize = 3;
/// Fractional bits of a weight.
const FRACTION_BITS: u32 = 24;
/// Samples of an RGB pixel.
const CHANNELS: usize = 3;
/// Samples blurred at a time: their sums stay in the first-level cache.
const CHUNK: usize = 768;

/// Blurs the picture with a Gaussian of deviation `sigma_px`; 0 changes nothing.
///
/// # Panics
///
/// If `sigma_px` is negative or not a number.
pub fn gaussian_blur(picture: &mut RgbImage, sigma_px: f64) {
    assert!(sigma_px >= 0.0, "a blur of {sigma_px} pixels");
    if sigma_px == 0.0 || picture.is_empty() {
        return;
    }
    let kernel = BoxKernel::new(box_radius(sigma_px as f32));
    let row_samples = picture.width() as usize * CHANNELS;
    let mut space = Space::new();
    for row in picture.chunks_exact_mut(row_samples) {
        for _ in 0..PASSES {
            kernel.blur(row, CHANNELS, &mut space);
        }
    }
    for _ in 0..PASSES {
        kernel.blur(picture, row_samples, &mut space);
    }
}

/// Radius of the box whose three-fold application has the deviation `sigma_px`.
fn box_radius(sigma_px: f32) -> f32 {
    let variance = sigma_px * sigma_px / PASSES as f32;
    let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
    let rest = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
    whole + rest / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)))
}

/// A box with fractional ends.
struct BoxKernel {
    /// Whole samples on each side of the centre.
    radius: usize,
    /// Weight of the `2 * radius + 1` inner samples.
    inner: u32,
    /// Weight of the two outer samples.
    outer: u32,
}

impl BoxKernel {
    fn new(radius: f32) -> Self {
        let one = 1u32 << FRACTION_BITS;
        let inner = (one as f32 / (radius * 2.0 + 1.0)) as u32;
        let whole = radius as usize;
        Self {
            radius: whole,
            inner,
            outer: (one - (2 * whole as u32 + 1) * inner) / 2,
        }
    }

    /// One pass over `samples`, whose neighbours along the axis are `step` samples apart.
    ///
    /// Whole slices are added, one for each place of the box: that is what vectorises.
    fn blur(&self, samples: &mut [u8], step: usize, space: &mut Space) {
        let reach = self.radius + 1;
        repeat_ends(samples, step, reach, &mut space.padded);
        for (chunk, samples) in samples.chunks_mut(CHUNK).enumerate() {
            let neighbour = |tap: usize| &space.padded[chunk * CHUNK + tap * step..];
            let sums = &mut space.sums[..samples.len()];
            sums.fill(0);
            for tap in 1..2 * reach {
                add(sums, neighbour(tap));
            }
            self.weigh(samples, sums, [neighbour(0), neighbour(2 * reach)]);
        }
    }

    /// Weighted averages, from the sums of the inner samples and the two outer ones.
    fn weigh(&self, averages: &mut [u8], sums: &[u32], outer: [&[u8]; 2]) {
        type Ends<'a> = [&'a [u8]; 2];
        let kernel = self;
        widest!((kernel: &'a BoxKernel, averages: &'a mut [u8], sums: &'a [u32], outer: Ends<'a>) -> () {
            let ends = outer[0].iter().zip(outer[1]);
            for ((average, &sum), (&left, &right)) in averages.iter_mut().zip(sums).zip(ends) {
                let ends = u32::from(left) + u32::from(right);
                *average = rounded(sum * kernel.inner + ends * kernel.outer);
            }
        });
    }
}

/// Working space of [`BoxKernel::blur`].
struct Space {
    /// The samples with both ends repeated as far as the box reaches.
    padded: Vec<u8>,
    /// Sums over the whole places of the box.
    sums: [u32; CHUNK],
}

impl Space {
    fn new() -> Self {
        Self {
            padded: Vec::new(),
            sums: [0; CHUNK],
        }
    }
}

fn add(sums: &mut [u32], samples: &[u8]) {
    widest!((sums: &'a mut [u32], samples: &'a [u8]) -> () {
        for (sum, &sample) in sums.iter_mut().zip(samples) {
            *sum += u32::from(sample);
        }
    });
}

#[inline(always)]
fn rounded(sum: u32) -> u8 {
    ((sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS) as u8
}

/// Fills `padded` with the samples and `reach` copies of the first and the last `step` of them.
fn repeat_ends(samples: &[u8], step: usize, reach: usize, padded: &mut Vec<u8>) {
    padded.clear();
    for _ in 0..reach {
        padded.extend_from_slice(&samples[..step]);
    }
    padded.extend_from_slice(samples);
    for _ in 0..reach {
        padded.extend_from_slice(&samples[samples.len() - step..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pictures::{pattern, picture_of};
    use super::*;

    #[test]
    fn blurs_equal_the_reference() {
        let mut golden = golden::open("transforms.npz");
        for sigma in ["0.1", "0.7", "1.3", "2.0"] {
            let mut picture = picture_of(&mut golden, "image");
            gaussian_blur(&mut picture, sigma.parse().unwrap());
            assert_eq!(
                picture,
                picture_of(&mut golden, &format!("blur_{sigma}")),
                "sigma {sigma}"
            );
        }
    }

    #[test]
    fn box_radii_have_the_published_closed_form() {
        for (sigma, radius) in [(0.1, 0.001672), (0.5, 0.045455), (1.0, 0.25), (2.0, 1.375)] {
            let actual = box_radius(sigma);
            // The expected radii are given to six decimals.
            assert!((actual - radius).abs() < 1e-6, "sigma {sigma}: {actual}");
        }
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        let flat = RgbImage::from_pixel(5, 3, image::Rgb([255, 0, 77]));
        for sigma in [0.3, 1.9, 9.0] {
            let mut blurred = flat.clone();
            gaussian_blur(&mut blurred, sigma);
            assert_eq!(blurred, flat, "sigma {sigma}");
        }
    }

    #[test]
    fn a_blur_of_zero_changes_nothing() {
        let mut picture = pattern(5, 7);
        gaussian_blur(&mut picture, 0.0);
        assert_eq!(picture, pattern(5, 7));
    }

    #[test]
    fn the_axes_are_treated_alike_up_to_rounding() {
        let dot = |x, y| {
            let mut picture = RgbImage::new(9, 9);
            picture.put_pixel(x, y, image::Rgb([255, 200, 9]));
            gaussian_blur(&mut picture, 1.0);
            picture
        };
        let (one, other) = (dot(2, 5), dot(5, 2));
        for (x, y, pixel) in one.enumerate_pixels() {
            for (a, b) in pixel.0.into_iter().zip(other.get_pixel(y, x).0) {
                // Rows are rounded to 8 bit before columns are blurred, in Pillow too.
                assert!(a.abs_diff(b) <= 1, "{a} and {b} at {x} {y}");
            }
        }
    }

    #[test]
    fn a_box_wider_than_the_picture_is_allowed() {
        let mut picture = pattern(2, 1);
        gaussian_blur(&mut picture, 20.0);
        assert_eq!(picture.dimensions(), (2, 1));
    }
}
