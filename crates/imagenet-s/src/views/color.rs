//! Colour jitter and grayscale on 8-bit RGB, with the arithmetic of Pillow and torchvision.
//!
//! Brightness, contrast and saturation blend the picture with a degenerate one (black, its mean
//! gray, its own grayscale); a factor of 1 keeps the picture, 0 is the degenerate one, and more
//! than 1 extrapolates. Hue turns the colour circle in 256 steps. All functions take interleaved
//! samples: `pixels` is `[height * width * 3]`.

use super::stream::Stream;
use serde::{Deserialize, Serialize};

/// Settings of [`jitter`]; the defaults are those of the reference's pre-training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitterConfig {
    /// Probability of any jitter, in `0..=1`.
    pub probability: f64,
    /// The brightness factor is uniform in `1 - brightness ..= 1 + brightness`, not below 0.
    pub brightness: f64,
    /// The same for the contrast factor.
    pub contrast: f64,
    /// The same for the saturation factor.
    pub saturation: f64,
    /// The shift of hue is uniform in `-hue..=hue`, in turns of the colour circle, at most 0.5.
    pub hue: f64,
}

impl Default for ColorJitterConfig {
    fn default() -> Self {
        Self {
            probability: 0.8,
            brightness: 0.8,
            contrast: 0.8,
            saturation: 0.8,
            hue: 0.2,
        }
    }
}

/// With the configured probability, the four operations at random strength in random order.
pub fn jitter(pixels: &mut [u8], config: &ColorJitterConfig, stream: &mut Stream) {
    if !stream.chance(config.probability) {
        return;
    }
    let mut order = [0, 1, 2, 3];
    stream.shuffle(&mut order);
    let factors = [config.brightness, config.contrast, config.saturation]
        .map(|strength| stream.uniform((1.0 - strength).max(0.0), 1.0 + strength));
    let turn = stream.uniform(-config.hue, config.hue);
    for operation in order {
        match operation {
            0 => brightness(pixels, factors[0]),
            1 => contrast(pixels, factors[1]),
            2 => saturation(pixels, factors[2]),
            _ => hue(pixels, turn),
        }
    }
}

/// Blends with black.
pub fn brightness(pixels: &mut [u8], factor: f64) {
    blend_with_gray(pixels, 0, factor);
}

/// Blends with the mean luma of the whole picture.
pub fn contrast(pixels: &mut [u8], factor: f64) {
    let (pixels_rgb, _) = pixels.as_chunks::<3>();
    if pixels_rgb.is_empty() {
        return;
    }
    let sum = pixels_rgb
        .iter()
        .map(|&rgb| u64::from(luma(rgb)))
        .sum::<u64>();
    let mean = sum as f64 / pixels_rgb.len() as f64;
    blend_with_gray(pixels, (mean + 0.5) as u8, factor);
}

/// Blends every pixel with its own luma.
pub fn saturation(pixels: &mut [u8], factor: f64) {
    for rgb in pixels.as_chunks_mut::<3>().0 {
        let gray = luma(*rgb);
        *rgb = rgb.map(|sample| blend(gray, sample, factor as f32));
    }
}

/// Turns the hue by `turn` of the colour circle, in `-0.5..=0.5`, truncated to 1/255.
pub fn hue(pixels: &mut [u8], turn: f64) {
    let steps = (turn * 255.0) as i32 as u8; // modulo 256: a negative turn wraps around
    let circle: [Hue; 256] = std::array::from_fn(|hue| Hue::new((hue as u8).wrapping_add(steps)));
    for rgb in pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = hsv_from_rgb(*rgb);
        *rgb = circle[usize::from(hue)].rgb(saturation, value);
    }
}

/// Replaces every pixel by its luma in all three channels.
pub fn grayscale(pixels: &mut [u8]) {
    for rgb in pixels.as_chunks_mut::<3>().0 {
        *rgb = [luma(*rgb); 3];
    }
}

/// ITU-R 601 luma in 16-bit fixed point, rounded.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((weighted + (1 << 15)) >> 16) as u8
}

/// From `degenerate` towards `sample`: truncated, not rounded, and clamped.
fn blend(degenerate: u8, sample: u8, factor: f32) -> u8 {
    let difference = f32::from(i16::from(sample) - i16::from(degenerate));
    (f32::from(degenerate) + factor * difference) as u8
}

/// Blends all samples with one gray level, through a table of the 256 results.
fn blend_with_gray(pixels: &mut [u8], gray: u8, factor: f64) {
    let table: [u8; 256] = std::array::from_fn(|sample| blend(gray, sample as u8, factor as f32));
    for sample in pixels {
        *sample = table[usize::from(*sample)];
    }
}

/// Hue, saturation and value in `0..=255`, the first two truncated.
fn hsv_from_rgb([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let largest = red.max(green).max(blue);
    let range = largest - red.min(green).min(blue);
    if range == 0 {
        return [0, 0, largest];
    }
    let saturation = f32::from(range) / f32::from(largest);
    // In sixths of a turn: the sector of the largest channel, and where between the others.
    let (sector, plus, minus) = if red == largest {
        (0.0, blue, green)
    } else if green == largest {
        (2.0, red, blue)
    } else {
        (4.0, green, red)
    };
    let below = |sample| f64::from(f32::from(largest - sample) / f32::from(range));
    let sixths = (sector + below(plus) - below(minus)) as f32;
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let hue = (if turns >= 1.0 { turns - 1.0 } else { turns }) as f32;
    [
        (f64::from(hue) * 255.0) as u8,
        (f64::from(saturation) * 255.0) as u8,
        largest,
    ]
}

/// A place on the colour circle.
#[derive(Clone, Copy)]
struct Hue {
    /// Which of the levels (value, rising, falling, low) red, green and blue have.
    levels: [u8; 3],
    /// Place inside the sixth of the circle, in `0..1`.
    fraction: f64,
}

impl Hue {
    fn new(hue: u8) -> Self {
        let sixths = f64::from(hue) * 6.0 / 255.0;
        let fraction = f64::from((sixths - sixths.floor()) as f32);
        let levels = match sixths as u8 % 6 {
            0 => [0, 1, 3],
            1 => [2, 0, 3],
            2 => [3, 0, 1],
            3 => [3, 2, 0],
            4 => [1, 3, 0],
            _ => [0, 3, 2],
        };
        Self { levels, fraction }
    }

    /// The colour of this hue, rounded half away from zero.
    fn rgb(&self, saturation: u8, value: u8) -> [u8; 3] {
        let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
        let level = |kept: f64| (f64::from(value) * kept + 0.5) as u8;
        let rising = level(1.0 - saturation * (1.0 - self.fraction));
        let falling = level(1.0 - f64::from((saturation * self.fraction) as f32));
        let levels = [value, rising, falling, level(1.0 - saturation)];
        self.levels.map(|index| levels[usize::from(index & 3)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        golden::{Golden, pattern},
        stream::Purpose,
    };
    use super::*;

    /// Checks an operation against golden results, whose names end in the parameter.
    fn check(name: &str, parameters: &[&str], operation: fn(&mut [u8], f64)) {
        let Some(mut golden) = Golden::open("transforms.npz") else {
            return;
        };
        let picture = golden.picture("image").into_raw();
        for parameter in parameters {
            let expected = golden.picture(&format!("{name}_{parameter}")).into_raw();
            let mut actual = picture.clone();
            operation(&mut actual, parameter.parse().unwrap());
            let largest = actual
                .iter()
                .zip(&expected)
                .map(|(a, b)| a.abs_diff(*b))
                .max();
            assert_eq!(largest, Some(0), "{name} {parameter}");
        }
    }

    const FACTORS: [&str; 4] = ["0.2", "0.75", "1.0", "1.8"];

    #[test]
    fn brightness_equals_the_reference() {
        check("brightness", &FACTORS, brightness);
    }

    #[test]
    fn contrast_equals_the_reference() {
        check("contrast", &FACTORS, contrast);
    }

    #[test]
    fn saturation_equals_the_reference() {
        check("saturation", &FACTORS, saturation);
    }

    #[test]
    fn hue_equals_the_reference() {
        check("hue", &["-0.2", "-0.05", "0.0", "0.13", "0.2"], hue);
    }

    #[test]
    fn gray_equals_the_reference() {
        let Some(mut golden) = Golden::open("transforms.npz") else {
            return;
        };
        let mut pixels = golden.picture("image").into_raw();
        grayscale(&mut pixels);
        assert_eq!(pixels, golden.picture("gray").into_raw());
    }

    #[test]
    fn a_factor_of_one_keeps_the_picture_and_zero_is_degenerate() {
        let picture = pattern(5, 7).into_raw();
        for operation in [brightness, contrast, saturation] {
            let mut kept = picture.clone();
            operation(&mut kept, 1.0);
            assert_eq!(kept, picture);
        }
        let mut black = picture.clone();
        brightness(&mut black, 0.0);
        assert!(black.iter().all(|&sample| sample == 0));
        let (mut gray, mut luma) = (picture.clone(), picture);
        saturation(&mut gray, 0.0);
        grayscale(&mut luma);
        assert_eq!(gray, luma);
    }

    #[test]
    fn blending_truncates_and_clamps() {
        let mut pixels = [200, 101, 3];
        brightness(&mut pixels, 1.5);
        assert_eq!(pixels, [255, 151, 4]);
    }

    #[test]
    fn a_third_of_a_turn_makes_red_green() {
        let mut pixels = [255, 0, 0, 90, 90, 90];
        hue(&mut pixels, 1.0 / 3.0);
        assert_eq!(pixels, [0, 255, 0, 90, 90, 90]);
        hue(&mut pixels, -1.0 / 3.0);
        assert_eq!(pixels, [255, 0, 0, 90, 90, 90]);
    }

    #[test]
    fn jitter_is_a_function_of_the_stream() {
        let config = ColorJitterConfig {
            probability: 1.0,
            ..Default::default()
        };
        let jittered = |picture| {
            let mut pixels = pattern(5, 7).into_raw();
            jitter(
                &mut pixels,
                &config,
                &mut Stream::new(1, 0, picture, Purpose::Crop(0)),
            );
            pixels
        };
        assert_eq!(jittered(3), jittered(3));
        assert_ne!(jittered(3), jittered(4));
    }

    #[test]
    fn jitter_of_probability_zero_keeps_the_picture() {
        let config = ColorJitterConfig {
            probability: 0.0,
            ..Default::default()
        };
        let mut pixels = pattern(5, 7).into_raw();
        jitter(
            &mut pixels,
            &config,
            &mut Stream::new(1, 0, 0, Purpose::Crop(0)),
        );
        assert_eq!(pixels, pattern(5, 7).into_raw());
    }
}
