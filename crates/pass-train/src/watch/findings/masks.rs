//! Findings in predicted masks: what is never predicted, what takes nearly all, what surrounds the objects.

use super::{Advice, Found, ids, listed};
use crate::{Step, watch::mask_counts::MaskCounts};

/// A category that touches all four sides in this share of its images is what surrounds objects, ...
const SURROUNDS: f64 = 0.75;
/// ... if it is in so many of them.
const LEAST_IMAGES: u64 = 5;

/// A category with more than this share of all foreground pixels leaves little to the others, ...
const DOMINATES: f64 = 0.7;
/// ... where there are so many.
const SEVERAL: usize = 3;

/// Less foreground than this share of all pixels is hardly any.
const LITTLE_FOREGROUND: f64 = 0.01;

/// In the masks that are the result of a run, which a step has left.
pub(crate) fn of_masks(step: Step, counts: &MaskCounts) -> Vec<Found> {
    let found = found_in(counts).into_iter();
    found.map(|found| Found { step, ..found }).collect()
}

fn found_in(counts: &MaskCounts) -> Vec<Found> {
    if let Some(only) = of_one_id(&counts.pixels) {
        return vec![only];
    }
    let found = [
        of_little_foreground(counts),
        of_never_predicted(&counts.pixels),
        of_dominant(&counts.pixels),
        of_surroundings(counts),
    ];
    found.into_iter().flatten().collect()
}

fn of_one_id(pixels: &[u64]) -> Option<Found> {
    let used: Vec<usize> = (0..pixels.len()).filter(|&id| pixels[id] > 0).collect();
    let [only] = used[..] else {
        return None;
    };
    let what = match only {
        0 => "background".to_owned(),
        id => format!("category {id}"),
    };
    let what = format!("every pixel of the masks is {what}: nothing else has been found");
    Some(Found::failed(Step::Predict, what, Advice::LearnMore))
}

fn of_little_foreground(counts: &MaskCounts) -> Option<Found> {
    let share = 1.0 - counts.share(0);
    (counts.pixels.len() > 1 && share < LITTLE_FOREGROUND).then(|| {
        let percent = 100.0 * share;
        let what =
            format!("only {percent:.2} % of the pixels are in a category, the rest is background");
        Found::doubtful(Step::Predict, what, Advice::MoreForeground)
    })
}

/// Of less than a hundredth of what a category has in the mean. Grave where it is half of them.
fn of_never_predicted(pixels: &[u64]) -> Option<Found> {
    let categories = pixels.get(1..)?;
    let foreground: u64 = categories.iter().sum();
    let all = categories.len();
    let hardly = |pixels: u64| 100 * pixels * (all as u64) < foreground || pixels == 0;
    let absent = ids(categories.iter().map(|&pixels| hardly(pixels)));
    let count = absent.len();
    (count > 0).then(|| {
        let what = format!(
            "{count} of {all} categories {} predicted nowhere, or hardly anywhere ({})",
            if count == 1 { "is" } else { "are" },
            listed("id", &absent)
        );
        let found = match 2 * count >= all {
            true => Found::failed,
            false => Found::doubtful,
        };
        found(Step::Predict, what, Advice::FewerClasses)
    })
}

fn of_dominant(pixels: &[u64]) -> Option<Found> {
    let categories = pixels.get(1..)?;
    let foreground: u64 = categories.iter().sum();
    let (&most, id) = categories
        .iter()
        .zip(1..)
        .max_by_key(|(pixels, _)| **pixels)?;
    let share = most as f64 / foreground.max(1) as f64;
    (categories.len() >= SEVERAL && share > DOMINATES).then(|| {
        let percent = 100.0 * share;
        let what = format!("category {id} has {percent:.0} % of all pixels that are in a category");
        Found::doubtful(Step::Predict, what, Advice::LearnMore)
    })
}

fn of_surroundings(counts: &MaskCounts) -> Option<Found> {
    let surrounds = |id: usize| {
        let [images, around] = [&counts.images, &counts.on_all_sides].map(|of| of[id]);
        images >= LEAST_IMAGES && around as f64 >= SURROUNDS * images as f64
    };
    let found: Vec<usize> = (1..counts.images.len())
        .filter(|&id| surrounds(id))
        .collect();
    let id = *found.first()?;
    let what = format!(
        "what touches all four sides of nearly every image that it is in ({}; category {id} in {} of {}) \
         surrounds the objects and is none",
        listed("id", &found),
        counts.on_all_sides[id],
        counts.images[id]
    );
    Some(Found::doubtful(Step::Predict, what, Advice::LessForeground))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{findings::tests::assert_found, verdict::Grade};

    #[test]
    fn predictions_of_one_id_are_found() {
        let found = |pixels: &[u64]| of_masks(Step::Predict, &of_pixels(pixels));
        assert_found(&found(&[9, 1, 1]), &[]);
        assert_found(
            &found(&[9, 0, 0]),
            &["every pixel of the masks is background"],
        );
        assert_found(
            &found(&[0, 0, 9]),
            &["every pixel of the masks is category 2"],
        );
    }

    /// Of a run of a former version.
    fn of_pixels(pixels: &[u64]) -> MaskCounts {
        MaskCounts {
            pixels: pixels.to_vec(),
            ..MaskCounts::default()
        }
    }

    #[test]
    fn categories_that_are_nowhere_or_nearly_everywhere_are_found() {
        let found = |pixels: &[u64]| of_masks(Step::Predict, &of_pixels(pixels));
        let absent = found(&[500, 20, 0, 30, 25, 20]);
        assert_found(
            &absent,
            &["1 of 5 categories is predicted nowhere, or hardly anywhere (id 2)"],
        );
        assert_eq!(absent[0].grade, Grade::Doubtful);
        let half = found(&[500, 20, 0, 0, 25]);
        assert_found(
            &half,
            &["2 of 4 categories are predicted nowhere, or hardly anywhere (id 2, 3)"],
        );
        assert_eq!(half[0].grade, Grade::Failed);
        let specks = found(&[5000, 2000, 1, 2300, 2500]);
        assert_found(&specks, &["hardly anywhere (id 2)"]);
        assert_found(&found(&[5000, 2000, 30, 2300, 2500]), &[]);
        let dominant = found(&[500, 5, 90, 5]);
        assert_found(
            &dominant,
            &["category 2 has 90 % of all pixels that are in a"],
        );
        let little = found(&[99_950, 20, 30]);
        assert_found(&little, &["only 0.05 % of the pixels are in a category"]);
    }

    #[test]
    fn a_category_around_the_objects_is_found_and_one_in_few_images_is_not() {
        let counts = |images: &[u64], on_all_sides: &[u64]| MaskCounts {
            images: images.to_vec(),
            on_all_sides: on_all_sides.to_vec(),
            ..of_pixels(&[50, 30, 20])
        };
        let found = of_masks(Step::Predict, &counts(&[20, 20, 18], &[5, 2, 16]));
        assert_found(&found, &["(id 2; category 2 in 16 of 18)"]);
        assert_found(
            &of_masks(Step::Predict, &counts(&[20, 20, 4], &[5, 2, 4])),
            &[],
        );
        assert_found(
            &of_masks(Step::Predict, &counts(&[20, 20, 18], &[20, 2, 12])),
            &[],
        );
    }
}
