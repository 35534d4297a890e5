//! Colour jitter and grayscale on 8-bit RGB, with the arithmetic of Pillow and torchvision.
//!
//! Brightness, contrast and saturation blend the picture with a degenerate one (black, its mean
//! gray, its own grayscale); a factor of 1 keeps the picture, 0 is the degenerate one, and more
//! than 1 extrapolates. Hue turns the colour circle in 256 steps. All functions take interleaved
//! samples: `pixels` is `[height * width * 3]`.

use pulp::{Arch, NullaryFnOnce};
use serde::{Deserialize, Serialize};
use widest::widest;

use super::stream::Stream;

/// Pixels that are changed at a time.
const BLOCK: usize = 32;

/// Red, green and blue of some pixels.
type Planes = [[u8; BLOCK]; 3];

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
    let sum = widest!((pixels_rgb: &'a [[u8; 3]]) -> u64 { sum_of_luma(pixels_rgb) });
    let mean = sum as f64 / pixels_rgb.len() as f64;
    blend_with_gray(pixels, (mean + 0.5) as u8, factor);
}

/// Blends every pixel with its own luma.
pub fn saturation(pixels: &mut [u8], factor: f64) {
    let factor = factor as f32;
    by_blocks(pixels, BlendWithLuma { factor });
}

/// Turns the hue by `turn` of the colour circle, in `-0.5..=0.5`, truncated to 1/255.
pub fn hue(pixels: &mut [u8], turn: f64) {
    let steps = (turn * 255.0) as i32 as u8; // modulo 256: a negative turn wraps around
    by_blocks(pixels, TurnHue { steps });
}

/// Inverts all samples of 128 and above.
pub fn solarize(pixels: &mut [u8]) {
    for sample in pixels {
        *sample = (*sample).min(255 - *sample);
    }
}

/// Replaces every pixel by its luma in all three channels.
pub fn grayscale(pixels: &mut [u8]) {
    by_blocks(pixels, ToLuma);
}

#[inline(always)]
fn sum_of_luma(pixels: &[[u8; 3]]) -> u64 {
    let rows = pixels.chunks(1 << 16); // whose sums fit into 32 bits
    let sums = rows.map(|row| row.iter().map(|&rgb| u32::from(luma(rgb))).sum::<u32>());
    sums.map(u64::from).sum()
}

/// ITU-R 601 luma in 16-bit fixed point, rounded.
#[inline(always)]
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((weighted + (1 << 15)) >> 16) as u8
}

/// From `degenerate` towards `sample`: truncated, not rounded, and clamped.
#[inline(always)]
fn blend(degenerate: u8, sample: u8, factor: f32) -> u8 {
    let difference = f32::from(i16::from(sample) - i16::from(degenerate));
    let blended = (f32::from(degenerate) + factor * difference).clamp(0.0, 255.0);
    // As in `whole`.
    (blended.floor() + (1 << 23) as f32).to_bits() as u8
}

/// Blends all samples with one gray level, through a table of the 256 results.
fn blend_with_gray(pixels: &mut [u8], gray: u8, factor: f64) {
    let table: [u8; 256] = std::array::from_fn(|sample| blend(gray, sample as u8, factor as f32));
    for sample in pixels {
        *sample = table[usize::from(*sample)];
    }
}

/// What [`hue`] does.
struct TurnHue {
    steps: u8,
}

impl Change for TurnHue {
    #[inline(always)]
    fn change(&self, [red, green, blue]: &Planes) -> Planes {
        let mut turned = [[0; BLOCK]; 3];
        for at in 0..BLOCK {
            let [hue, saturation, value] = hsv_from_rgb([red[at], green[at], blue[at]]);
            let hue = hue.wrapping_add(self.steps);
            [turned[0][at], turned[1][at], turned[2][at]] = rgb_from_hsv([hue, saturation, value]);
        }
        turned
    }
}

/// Hue, saturation and value in `0..=255`, the first two truncated. Without branches: what is
/// divided by a range of 0 is not used.
#[inline(always)]
fn hsv_from_rgb([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let largest = red.max(green).max(blue);
    let range = largest - red.min(green).min(blue);
    let saturation = f64::from(f32::from(range) / f32::from(largest));
    let below = |sample: u8| f64::from(f32::from(largest - sample) / f32::from(range));
    let [red_below, green_below, blue_below] = [below(red), below(green), below(blue)];
    // In sixths of a turn: the sector of the largest channel, and where between the others.
    let sixths = if red == largest {
        blue_below - green_below
    } else if green == largest {
        2.0 + red_below - blue_below
    } else {
        4.0 + green_below - red_below
    };
    let turns = f64::from(sixths as f32) / 6.0 + 1.0;
    let hue = f64::from((if turns >= 1.0 { turns - 1.0 } else { turns }) as f32);
    match range {
        0 => [0, 0, largest],
        _ => [whole(hue * 255.0), whole(saturation * 255.0), largest],
    }
}

/// The colour, rounded half away from zero.
#[inline(always)]
fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let fraction = f64::from((sixths - sixths.floor()) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let level = |kept: f64| whole(f64::from(value) * kept + 0.5);
    let rising = level(1.0 - saturation * (1.0 - fraction));
    let falling = level(1.0 - f64::from((saturation * fraction) as f32));
    let low = level(1.0 - saturation);
    match whole(sixths) {
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        5 => [value, low, falling],
        _ => [value, rising, low],
    }
}

/// A number of `0.0..256.0`, truncated. The sum has its integer in the last bits: unlike a
/// conversion that clamps, this is made with vectors.
#[inline(always)]
fn whole(number: f64) -> u8 {
    (number.floor() + (1_u64 << 52) as f64).to_bits() as u8
}

/// A change of some pixels, which has to be inlined into [`by_blocks`].
trait Change {
    fn change(&self, planes: &Planes) -> Planes;
}

/// What [`saturation`] does.
struct BlendWithLuma {
    factor: f32,
}

impl Change for BlendWithLuma {
    #[inline(always)]
    fn change(&self, [red, green, blue]: &Planes) -> Planes {
        let mut blended = [[0; BLOCK]; 3];
        for at in 0..BLOCK {
            let gray = luma([red[at], green[at], blue[at]]);
            blended[0][at] = blend(gray, red[at], self.factor);
            blended[1][at] = blend(gray, green[at], self.factor);
            blended[2][at] = blend(gray, blue[at], self.factor);
        }
        blended
    }
}

/// What [`grayscale`] does.
struct ToLuma;

impl Change for ToLuma {
    #[inline(always)]
    fn change(&self, [red, green, blue]: &Planes) -> Planes {
        [each(|at| luma([red[at], green[at], blue[at]])); 3]
    }
}

/// Changes all pixels, some at a time.
fn by_blocks<C: Change>(pixels: &mut [u8], change: C) {
    let (blocks, rest) = pixels.as_chunks_mut::<3>().0.as_chunks_mut::<BLOCK>();
    change_blocks(blocks, &change);
    let mut last = [[[0; 3]; BLOCK]];
    last[0][..rest.len()].copy_from_slice(rest);
    change_blocks(&mut last, &change);
    rest.copy_from_slice(&last[0][..rest.len()]);
}

fn change_blocks<C: Change>(blocks: &mut [[[u8; 3]; BLOCK]], change: &C) {
    struct Loops<'a, C>(&'a mut [[[u8; 3]; BLOCK]], &'a C);
    impl<C: Change> NullaryFnOnce for Loops<'_, C> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            for block in self.0 {
                *block = pixels_of(&self.1.change(&planes_of(block)));
            }
        }
    }
    Arch::new().dispatch(Loops(blocks, change));
}

#[inline(always)]
fn planes_of(block: &[[u8; 3]; BLOCK]) -> Planes {
    [
        each(|at| block[at][0]),
        each(|at| block[at][1]),
        each(|at| block[at][2]),
    ]
}

#[inline(always)]
fn pixels_of([red, green, blue]: &Planes) -> [[u8; 3]; BLOCK] {
    each(|at| [red[at], green[at], blue[at]])
}

/// A value for each pixel of a block.
#[inline(always)]
fn each<T: Copy + Default>(value: impl Fn(usize) -> T) -> [T; BLOCK] {
    let mut values = [T::default(); BLOCK];
    for (at, place) in values.iter_mut().enumerate() {
        *place = value(at);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::{
        stream::Purpose,
        test_pictures::{pattern, picture_of},
    };
    use super::*;

    /// `ImageOps.solarize(Image.frombytes("L", (7, 1), bytes([0, 1, 127, 128, 129, 254, 255])))` of
    /// Pillow 13.
    #[test]
    fn solarisation_inverts_the_bright_half_as_pillow_does() {
        let mut samples = [0, 1, 127, 128, 129, 254, 255];
        solarize(&mut samples);
        assert_eq!(samples, [0, 1, 127, 127, 126, 1, 0]);
    }

    /// Checks an operation against golden results, whose names end in the parameter.
    fn check(name: &str, parameters: &[&str], operation: fn(&mut [u8], f64)) {
        let mut golden = golden::open("transforms.npz");
        let picture = picture_of(&mut golden, "image").into_raw();
        for parameter in parameters {
            let expected = picture_of(&mut golden, &format!("{name}_{parameter}")).into_raw();
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
        let mut golden = golden::open("transforms.npz");
        let mut pixels = picture_of(&mut golden, "image").into_raw();
        grayscale(&mut pixels);
        assert_eq!(pixels, picture_of(&mut golden, "gray").into_raw());
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
