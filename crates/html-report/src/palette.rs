//! Colours of classes and clusters, the same for the same id in every mask and every report.

use luss_metrics::{IGNORE, OTHER};

/// An sRGB colour.
pub type Rgb = [u8; 3];

/// Colour of [`IGNORE`].
const IGNORE_GREY: Rgb = [128, 128, 128];

/// Colour of [`OTHER`] in a file that must give it one.
const OTHER_BLACK: Rgb = [0, 0, 0];

/// The most categories whose ids an indexed PNG can hold.
pub const MOST_INDEXED: u16 = 255;

/// Colours of the first ids, chosen by eye to differ from their neighbours.
const FIRST: [Rgb; 16] = [
    [230, 60, 70],
    [40, 120, 220],
    [250, 190, 30],
    [40, 160, 80],
    [150, 70, 200],
    [0, 190, 200],
    [245, 125, 35],
    [235, 80, 170],
    [130, 200, 50],
    [120, 80, 50],
    [110, 130, 250],
    [0, 110, 110],
    [245, 160, 150],
    [130, 20, 60],
    [165, 150, 60],
    [195, 160, 240],
];

/// Colour of a class or cluster id; [`OTHER`] has none, the picture shows through.
pub fn color_of(id: u16) -> Option<Rgb> {
    match id {
        OTHER => None,
        IGNORE => Some(IGNORE_GREY),
        id => Some(
            FIRST
                .get(usize::from(id) - 1)
                .copied()
                .unwrap_or_else(|| generated(id)),
        ),
    }
}

/// The palette of an indexed PNG: black for [`OTHER`], then the colour of each of the `categories`.
///
/// # Panics
///
/// Above [`MOST_INDEXED`] categories.
pub fn palette(categories: u16) -> Vec<Rgb> {
    assert!(
        categories <= MOST_INDEXED,
        "a palette of {categories} categories"
    );
    let color = |id| color_of(id).unwrap_or(OTHER_BLACK);
    (OTHER..=categories).map(color).collect()
}

/// Hues a golden angle apart, so that any run of ids is spread over the circle, at three
/// lightnesses.
fn generated(id: u16) -> Rgb {
    let hue = (f64::from(id) * 137.507_764).to_radians();
    let lightness = [0.72, 0.55, 0.82][usize::from(id) % 3];
    srgb_from_oklch(lightness, 0.14, hue)
}

/// Ottosson's Oklab (<https://bottosson.github.io/posts/oklab/>), in which equal steps look equal.
/// Colours beyond sRGB are clipped.
fn srgb_from_oklch(lightness: f64, chroma: f64, hue: f64) -> Rgb {
    let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_35 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let linear = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
        -0.004_196_09 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ];
    linear.map(|channel: f64| (gamma(channel.clamp(0.0, 1.0)) * 255.0).round() as u8)
}

/// The transfer curve of sRGB.
fn gamma(linear: f64) -> f64 {
    if linear <= 0.003_130_8 {
        12.92 * linear
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn other_has_no_color_and_ignore_is_grey() {
        assert_eq!(color_of(OTHER), None);
        assert_eq!(color_of(IGNORE), Some(IGNORE_GREY));
    }

    #[test]
    fn a_palette_has_black_and_the_color_of_each_category() {
        let palette = palette(255);
        assert_eq!((palette.len(), palette[0]), (256, [0, 0, 0]));
        assert!((1..=255).all(|id| color_of(id) == Some(palette[usize::from(id)])));
    }

    #[test]
    fn neighbouring_ids_differ_clearly() {
        for id in 1..919 {
            let (one, next) = (color_of(id).unwrap(), color_of(id + 1).unwrap());
            let distance: i32 = (0..3)
                .map(|c| (i32::from(one[c]) - i32::from(next[c])).abs())
                .sum();
            assert!(
                distance > 60,
                "ids {id} and {} look alike: {one:?} {next:?}",
                id + 1
            );
        }
    }

    #[test]
    fn few_of_the_919_classes_share_a_color() {
        let colors: BTreeSet<Rgb> = (1..=919).filter_map(color_of).collect();
        assert!(colors.len() > 850, "{} colours", colors.len());
    }

    #[test]
    fn oklab_agrees_with_its_definition_for_white_and_red() {
        assert_eq!(srgb_from_oklch(1.0, 0.0, 0.0), [255, 255, 255]);
        let red = srgb_from_oklch(0.627_955, 0.257_683, 29.233_9_f64.to_radians());
        assert_eq!(red, [255, 0, 0]);
    }
}
