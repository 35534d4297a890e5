//! The centred ellipse and its colours.

use image::RgbImage;
use luss_metrics::{LabelMask, OTHER};

/// Width and height of the ellipse as a share of those of the picture: two thirds cover
/// π/4 · (2/3)² = 35 % of the pixels.
pub const ELLIPSE_SHARE: f64 = 2.0 / 3.0;
/// Numbers that describe the colours of a picture: mean and standard deviation of red, green and
/// blue.
pub const FEATURES: usize = 6;

/// A mask of `cluster` within the centred ellipse and [`OTHER`] around it. The axes of the ellipse
/// are `share` of the sides, in `0..=1`; a pixel belongs to it when its centre does.
///
/// # Panics
///
/// If a side is 0.
pub fn centre_ellipse(width: usize, height: usize, share: f64, cluster: u16) -> LabelMask {
    let labels = (0..width * height)
        .map(|i| within(i % width, i / width, (width, height), share))
        .map(|inside| if inside { cluster } else { OTHER })
        .collect();
    LabelMask::new(width, height, labels).expect("one label a pixel, and sides above 0")
}

/// Mean and then standard deviation of red, green and blue within the centred ellipse, each in
/// `0..=1`; the whole picture where the ellipse holds no pixel centre.
pub fn ellipse_colours(picture: &RgbImage, share: f64) -> [f32; FEATURES] {
    let (width, height) = picture.dimensions();
    let size = (width as usize, height as usize);
    let inside = |x: u32, y: u32| within(x as usize, y as usize, size, share);
    let mut sums = Sums::default();
    let pixels = picture.enumerate_pixels().filter(|&(x, y, _)| inside(x, y));
    pixels.for_each(|(_, _, pixel)| sums.add(pixel.0));
    if sums.count == 0 {
        picture.pixels().for_each(|pixel| sums.add(pixel.0));
    }
    sums.features()
}

fn within(x: usize, y: usize, (width, height): (usize, usize), share: f64) -> bool {
    // From -1 to 1 across the picture; the ellipse is then a circle of radius `share`.
    let across = |place: usize, side: usize| (2 * place + 1) as f64 / side as f64 - 1.0;
    let (dx, dy) = (across(x, width), across(y, height));
    dx * dx + dy * dy <= share * share
}

/// Exact sums of the channels and of their squares.
#[derive(Default)]
struct Sums {
    count: u64,
    values: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    fn add(&mut self, pixel: [u8; 3]) {
        self.count += 1;
        for (channel, value) in pixel.map(u64::from).into_iter().enumerate() {
            self.values[channel] += value;
            self.squares[channel] += value * value;
        }
    }

    fn features(&self) -> [f32; FEATURES] {
        let mean = |sum: u64| sum as f64 / self.count as f64;
        let means = self.values.map(mean);
        let deviation = |channel: usize| {
            let variance = mean(self.squares[channel]) - means[channel] * means[channel];
            variance.max(0.0).sqrt()
        };
        std::array::from_fn(|i| {
            let value = if i < 3 { means[i] } else { deviation(i - 3) };
            (value / 255.0) as f32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_ellipse_covers_about_35_percent_of_any_shape() {
        for (width, height) in [(500, 375), (97, 211)] {
            let mask = centre_ellipse(width, height, ELLIPSE_SHARE, 7);
            let inside = mask.labels().iter().filter(|&&label| label == 7).count() as f64;
            let share = inside / (width * height) as f64;
            assert!(
                (share - 0.349).abs() < 0.003,
                "{share} of {width} x {height}"
            );
        }
    }

    #[test]
    fn the_ellipse_is_centred() {
        let mask = centre_ellipse(7, 5, ELLIPSE_SHARE, 9);
        let rows: Vec<&[u16]> = mask.labels().chunks(7).collect();
        let (none, narrow, wide) = ([0; 7], [0, 0, 9, 9, 9, 0, 0], [0, 9, 9, 9, 9, 9, 0]);
        assert_eq!(rows, [&none, &narrow, &wide, &narrow, &none]);
    }

    #[test]
    fn colours_outside_of_the_ellipse_do_not_count() {
        let picture = RgbImage::from_fn(70, 50, |x, y| {
            let inside = within(x as usize, y as usize, (70, 50), ELLIPSE_SHARE);
            if inside {
                Rgb([51, 102, 204])
            } else {
                Rgb([255, 0, (x * 3) as u8])
            }
        });
        assert_eq!(
            ellipse_colours(&picture, ELLIPSE_SHARE),
            [0.2, 0.4, 0.8, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_deviation_is_that_of_all_pixels() {
        let picture = RgbImage::from_fn(
            2,
            1,
            |x, _| if x == 0 { Rgb([0; 3]) } else { Rgb([255; 3]) },
        );
        assert_eq!(ellipse_colours(&picture, 1.0), [0.5; 6]);
    }
}
