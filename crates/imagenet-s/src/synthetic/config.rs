//! Settings of the embedded dataset.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{shape::Shape, texture::Pattern};

/// Categories the generator can draw: each has a shape and a texture of its own.
pub const MAX_SYNTHETIC_CLASSES: u16 = CATEGORIES.len() as u16;

/// Every category, in the order of the class ids. The finer of two similar textures is much finer.
const CATEGORIES: [Category; 12] = [
    Category::new("striped_egg", Shape::Ellipse, Pattern::Stripes, 1.0),
    Category::new("dotted_star", Shape::Star, Pattern::Dots, 1.0),
    Category::new("layered_moon", Shape::Crescent, Pattern::Layers, 1.0),
    Category::new("chequered_kite", Shape::Triangle, Pattern::Checker, 0.75),
    Category::new("mottled_cross", Shape::Cross, Pattern::Mottle, 0.8),
    Category::new("netted_gear", Shape::Gear, Pattern::Net, 1.5),
    Category::new("ringed_heart", Shape::Heart, Pattern::Rings, 0.7),
    Category::new("zigzag_block", Shape::Square, Pattern::Zigzag, 1.25),
    Category::new("scaly_bow", Shape::Bow, Pattern::Scales, 1.1),
    Category::new("crossed_pill", Shape::Capsule, Pattern::Pluses, 1.4),
    Category::new("jagged_elbow", Shape::Elbow, Pattern::Triangles, 0.8),
    Category::new("brick_wheel", Shape::Annulus, Pattern::Bricks, 1.0),
];

/// What all objects of a category have in common.
#[derive(Clone, Copy)]
pub(super) struct Category {
    name: &'static str,
    pub(super) shape: Shape,
    pub(super) pattern: Pattern,
    /// Texture periods in the radius of a middling object, in units of 2.2.
    pub(super) fineness: f64,
}

impl Category {
    const fn new(name: &'static str, shape: Shape, pattern: Pattern, fineness: f64) -> Self {
        Self {
            name,
            shape,
            pattern,
            fineness,
        }
    }
}

/// Settings of [`write_synthetic`](super::write_synthetic).
///
/// Equal settings give equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Categories, `1..=MAX_SYNTHETIC_CLASSES`.
    pub classes: u16,
    /// Training pictures of all categories together.
    pub train: usize,
    /// Training pictures of each category that also get a mask (ImageNet-S has 10).
    pub train_semi_per_class: usize,
    /// Validation pictures of all categories together.
    pub validation: usize,
    /// Test pictures of all categories together; they get no masks.
    pub test: usize,
    /// Shorter side of a picture in pixels, `32..=1024`; the longer one is up to a quarter more.
    pub side_px: u32,
    /// Quality of the JPEG files, `1..=100`.
    pub jpeg_quality: u8,
    /// Share of the pictures that show a second category, `0..=1` (ImageNet-S: 0.086).
    pub second_category_ratio: f64,
    /// Share of the pictures with an ignored rim or region, `0..=1`.
    pub ignore_ratio: f64,
    /// Smallest and largest share of the picture that the main object covers.
    pub object_ratio: (f64, f64),
    /// Key of every random stream.
    pub seed: u64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            classes: 6,
            train: 900,
            train_semi_per_class: 10,
            validation: 150,
            test: 60,
            side_px: 112,
            jpeg_quality: 90,
            second_category_ratio: 0.1,
            ignore_ratio: 0.3,
            object_ratio: (0.15, 0.5),
            seed: 1,
        }
    }
}

impl SyntheticConfig {
    /// The first setting outside its range, in words; `None` when all are usable.
    pub(crate) fn problem(&self) -> Option<String> {
        fn outside<T: PartialOrd + std::fmt::Debug>(
            name: &str,
            value: T,
            range: RangeInclusive<T>,
        ) -> Option<String> {
            (!range.contains(&value)).then(|| format!("{name} = {value:?} lies outside {range:?}"))
        }
        let (smallest, largest) = self.object_ratio;
        outside("classes", self.classes, 1..=MAX_SYNTHETIC_CLASSES)
            .or_else(|| outside("side_px", self.side_px, 32..=1024))
            .or_else(|| outside("jpeg_quality", self.jpeg_quality, 1..=100))
            .or_else(|| {
                outside(
                    "second_category_ratio",
                    self.second_category_ratio,
                    0.0..=1.0,
                )
            })
            .or_else(|| outside("ignore_ratio", self.ignore_ratio, 0.0..=1.0))
            .or_else(|| outside("smallest object_ratio", smallest, 0.02..=0.7))
            .or_else(|| outside("largest object_ratio", largest, smallest..=0.7))
    }

    /// Folder names of the categories, sorted as the class ids are.
    pub(crate) fn class_names(&self) -> Vec<String> {
        let names = CATEGORIES
            .iter()
            .take(usize::from(self.classes))
            .enumerate();
        names
            .map(|(rank, category)| format!("s{:08}_{}", rank + 1, category.name))
            .collect()
    }
}

/// The category with this zero-based rank.
///
/// # Panics
///
/// If the rank is not below [`MAX_SYNTHETIC_CLASSES`].
pub(super) fn category(rank: usize) -> Category {
    CATEGORIES[rank]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_usable() {
        assert_eq!(SyntheticConfig::default().problem(), None);
    }

    #[test]
    fn a_setting_outside_its_range_is_named_with_the_range() {
        let config = SyntheticConfig {
            classes: 13,
            ..SyntheticConfig::default()
        };
        assert_eq!(
            config.problem().unwrap(),
            "classes = 13 lies outside 1..=12"
        );
        let config = SyntheticConfig {
            object_ratio: (0.4, 0.2),
            ..SyntheticConfig::default()
        };
        assert!(
            config
                .problem()
                .unwrap()
                .starts_with("largest object_ratio")
        );
    }

    #[test]
    fn folder_names_sort_in_the_order_of_the_class_ids() {
        let config = SyntheticConfig {
            classes: 12,
            ..SyntheticConfig::default()
        };
        let names = config.class_names();
        assert_eq!(names.len(), 12);
        assert!(names.is_sorted());
    }

    #[test]
    fn no_two_categories_share_a_shape_or_a_texture() {
        for a in 0..CATEGORIES.len() {
            for b in 0..a {
                assert!(
                    category(a).shape != category(b).shape
                        && category(a).pattern != category(b).pattern
                );
            }
        }
    }
}
