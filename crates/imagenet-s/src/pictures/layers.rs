//! A decoded picture before it is laid on its background and turned.

use image::{DynamicImage, Rgb, RgbImage, metadata::Orientation};

use crate::pictures::{
    decoding::{Background, Decoding},
    orientation::Orienting,
    stretch::{Stretch, to_byte},
    traits::Traits,
};

/// Colours and opacity as they are stored, and what was noticed on the way.
pub(crate) struct Layers {
    pub(crate) colours: RgbImage,
    pub(crate) alpha: Option<Alpha>,
    pub(crate) orientation: Orientation,
    pub(crate) traits: Traits,
}

/// The opacity of each pixel.
pub(crate) struct Alpha {
    pub(crate) opacity: Vec<u8>,
    /// Whether the colours are multiplied with it already.
    pub(crate) is_multiplied: bool,
}

impl Layers {
    /// The layers of what a decoder made.
    pub(crate) fn of(picture: DynamicImage, stretch: Stretch) -> Self {
        let alpha = picture.color().has_alpha().then(|| Alpha {
            opacity: opacity_of(&picture),
            is_multiplied: false,
        });
        let (colours, narrow) = match is_deep(&picture) {
            true => stretched(picture, stretch),
            false => (picture.into_rgb8(), None),
        };
        let traits = Traits {
            narrow,
            ..Traits::default()
        };
        Self {
            colours,
            alpha,
            orientation: Orientation::NoTransforms,
            traits,
        }
    }

    /// The picture as it is to be seen.
    pub(crate) fn finished(mut self, decoding: &Decoding) -> (RgbImage, Traits) {
        let mut traits = self.traits;
        traits.orientation = self.orientation;
        if let Some(alpha) = self.alpha {
            traits.is_transparent = alpha.opacity.iter().any(|&opacity| opacity < 255);
            if let Background::Colour(background) = decoding.background {
                lay_on(&mut self.colours, &alpha, background);
            }
        }
        let is_upright = self.orientation == Orientation::NoTransforms;
        if is_upright || decoding.orientation == Orienting::Ignore {
            return (self.colours, traits);
        }
        let mut picture = DynamicImage::ImageRgb8(self.colours);
        picture.apply_orientation(self.orientation);
        (picture.into_rgb8(), traits)
    }
}

fn is_deep(picture: &DynamicImage) -> bool {
    let color = picture.color();
    color.bytes_per_pixel() > color.channel_count()
}

fn opacity_of(picture: &DynamicImage) -> Vec<u8> {
    let pixels = picture.to_rgba8();
    pixels.pixels().map(|pixel| pixel.0[3]).collect()
}

/// A picture of more than 8 bits, and its smallest and largest value where these are close.
fn stretched(picture: DynamicImage, stretch: Stretch) -> (RgbImage, Option<[u16; 2]>) {
    // Grey values become three, of which a percentile takes one.
    let step = if picture.color().has_color() { 1 } else { 3 };
    let deep = picture.into_rgb16();
    let (width, height) = deep.dimensions();
    let values = || deep.iter().map(|&value| f64::from(value));
    let full = Some([0.0, f64::from(u16::MAX)]);
    let limits = stretch
        .limits(values().step_by(step), full)
        .expect("16 bits have ends");
    let bytes = values().map(|value| to_byte(value, limits)).collect();
    let narrow = narrow_range(deep.iter().copied(), stretch);
    let picture = RgbImage::from_raw(width, height, bytes).expect("as many as there were");
    (picture, narrow)
}

/// The smallest and the largest of 16-bit values that are shown in full range and take less than a
/// quarter of it, so that the picture looks nearly black, or flat.
pub(crate) fn narrow_range(
    values: impl Iterator<Item = u16>,
    stretch: Stretch,
) -> Option<[u16; 2]> {
    if stretch != Stretch::Full {
        return None;
    }
    let ends = values.fold([u16::MAX, 0], |[least, most], value| {
        [least.min(value), most.max(value)]
    });
    (ends[0] < ends[1] && is_narrow(ends)).then_some(ends)
}

/// Whether values between these ends take less than a quarter of the 16-bit range.
pub(crate) fn is_narrow([least, most]: [u16; 2]) -> bool {
    most - least < u16::MAX / 4 + 1
}

fn lay_on(colours: &mut RgbImage, alpha: &Alpha, background: [u8; 3]) {
    for (pixel, &opacity) in colours.pixels_mut().zip(&alpha.opacity) {
        let Rgb(colour) = pixel;
        for (value, below) in colour.iter_mut().zip(background) {
            *value = laid_on(*value, opacity, below, alpha.is_multiplied);
        }
    }
}

/// One value over another, rounded.
fn laid_on(value: u8, opacity: u8, below: u8, is_multiplied: bool) -> u8 {
    let [value, opacity, below] = [value, opacity, below].map(u32::from);
    let share = if is_multiplied { 255 } else { opacity };
    let sum = value * share + below * (255 - opacity);
    ((sum + 127) / 255).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_mixed_with_its_background_by_its_opacity() {
        assert_eq!(laid_on(10, 0, 255, false), 255);
        assert_eq!(laid_on(10, 255, 255, false), 10);
        // 200 * 0.2 + 100 * 0.8 = 120
        assert_eq!(laid_on(200, 51, 100, false), 120);
        assert_eq!(laid_on(40, 51, 100, true), 120);
    }

    #[test]
    fn a_quarter_of_the_range_is_a_small_part_of_it() {
        let range = |values: &[u16]| narrow_range(values.iter().copied(), Stretch::Full);
        assert_eq!(range(&[0, 4095, 7]), Some([0, 4095]));
        assert_eq!(range(&[0, 16383]), Some([0, 16383]));
        assert_eq!(range(&[0, 20000]), None);
        assert_eq!(range(&[5, 5]), None);
        assert_eq!(
            narrow_range([0, 9].into_iter(), Stretch::Range([0.0, 9.0])),
            None
        );
    }
}
