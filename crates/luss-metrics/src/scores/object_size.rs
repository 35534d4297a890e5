//! Object-size groups: the scores split into small to large objects (S, MS, ML, L).
//!
//! In one picture, the "object" of a class is all of its pixels, whether connected or not. Its
//! size is its share of the pixels that are not ignored. For each group with an object in the
//! picture, the pixels of the group's classes *and* of "other" are counted; the background of one
//! picture thus serves every group that occurs in it. A group's score is the mean over those labels of
//! the protocol that its truth holds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Areas, ImageCounts, OTHER, counts::image_counts::Cell};

/// The size of an object, as a share of its picture's counted pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SizeGroup {
    /// S: at most 5 %.
    #[serde(rename = "S")]
    Small,
    /// MS: above 5 and at most 25 %.
    #[serde(rename = "MS")]
    MediumSmall,
    /// ML: above 25 and at most 50 %.
    #[serde(rename = "ML")]
    MediumLarge,
    /// L: above 50 %.
    #[serde(rename = "L")]
    Large,
}

impl SizeGroup {
    /// All groups, from small to large.
    pub const ALL: [SizeGroup; 4] = [
        SizeGroup::Small,
        SizeGroup::MediumSmall,
        SizeGroup::MediumLarge,
        SizeGroup::Large,
    ];

    /// The group of an object of `area` pixels in a picture of `counted` pixels that are not
    /// ignored.
    ///
    /// # Panics
    ///
    /// If `counted` is 0.
    ///
    /// ```
    /// use luss_metrics::SizeGroup;
    ///
    /// assert_eq!(SizeGroup::of(5, 100), SizeGroup::Small);
    /// assert_eq!(SizeGroup::of(501, 10_000), SizeGroup::MediumSmall); // 5.01 % is rounded up
    /// ```
    pub fn of(area: u64, counted: u64) -> Self {
        match area_percent(area, counted) {
            0..=5 => SizeGroup::Small,
            6..=25 => SizeGroup::MediumSmall,
            26..=50 => SizeGroup::MediumLarge,
            _ => SizeGroup::Large,
        }
    }

    /// The paper's abbreviation.
    pub fn short_name(self) -> &'static str {
        match self {
            SizeGroup::Small => "S",
            SizeGroup::MediumSmall => "MS",
            SizeGroup::MediumLarge => "ML",
            SizeGroup::Large => "L",
        }
    }
}

impl fmt::Display for SizeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short_name())
    }
}

/// Share of the counted pixels in percent, rounded up. Integers, because a quotient in floating
/// point can land above a bound that it meets exactly.
fn area_percent(area: u64, counted: u64) -> u64 {
    (100 * area).div_ceil(counted)
}

/// Adds one picture to the table of each group that occurs in it, `times` times; `sizes` is indexed
/// by group.
pub(crate) fn add_by_size(sizes: &mut [Areas; 4], image: &ImageCounts, times: u64) {
    let counted = image.pixels();
    let objects: Vec<(u16, SizeGroup)> = image
        .true_classes()
        .into_iter()
        .map(|(class, area)| (class, SizeGroup::of(area, counted)))
        .collect();
    for group in SizeGroup::ALL {
        if objects.iter().any(|(_, g)| *g == group) {
            let members = image
                .cells()
                .iter()
                .filter(|cell| belongs(cell, group, &objects));
            members.for_each(|cell| sizes[group as usize].add(cell, times));
        }
    }
}

/// Whether the cell's truth is "other" or one of the group's classes.
fn belongs(cell: &Cell, group: SizeGroup, objects: &[(u16, SizeGroup)]) -> bool {
    cell.truth == OTHER || objects.contains(&(cell.truth, group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelMask, Protocol};

    #[test]
    fn upper_bounds_belong_to_the_smaller_group() {
        for (area, group) in [
            (1, SizeGroup::Small),
            (50, SizeGroup::Small),
            (51, SizeGroup::MediumSmall),
            (250, SizeGroup::MediumSmall),
            (251, SizeGroup::MediumLarge),
            (500, SizeGroup::MediumLarge),
            (501, SizeGroup::Large),
            (1000, SizeGroup::Large),
        ] {
            assert_eq!(SizeGroup::of(area, 1000), group, "{area} of 1000 pixels");
        }
    }

    /// Single precision makes 50.000004 % of this one.
    #[test]
    fn exactly_half_of_a_large_picture_is_medium_large() {
        assert_eq!(SizeGroup::of(701_703, 1_403_406), SizeGroup::MediumLarge);
    }

    #[test]
    fn the_background_serves_every_group_of_its_picture() {
        // Of 15 pixels, 1 is class 3 (7 %, MS) and 8 are class 2 (53 %, L).
        let labels = vec![3, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0];
        let truth = LabelMask::new(5, 3, labels).unwrap();
        let image = ImageCounts::new(&truth, &truth, 3, &Protocol::new(3)).unwrap();
        let mut sizes = SizeGroup::ALL.map(|_| Areas::new(3));
        add_by_size(&mut sizes, &image, 1);
        let truth_of = |group: SizeGroup| sizes[group as usize].mask.truth().to_vec();
        assert_eq!(truth_of(SizeGroup::Small), [0, 0, 0, 0]);
        assert_eq!(truth_of(SizeGroup::MediumSmall), [6, 0, 0, 1]);
        assert_eq!(truth_of(SizeGroup::MediumLarge), [0, 0, 0, 0]);
        assert_eq!(truth_of(SizeGroup::Large), [6, 0, 8, 0]);
    }
}
