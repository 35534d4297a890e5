//! Image-level accuracy (Img-Acc): is a picture's largest predicted class one of its true classes?

use crate::{ImageCounts, OTHER};

/// The class, up to `classes`, with the largest predicted area; the lowest id among equals; `None`
/// when no class is predicted.
pub(crate) fn predicted_label(image: &ImageCounts, classes: u16) -> Option<u16> {
    let mut areas = std::collections::BTreeMap::<u16, u64>::new();
    let is_class = |label| (OTHER + 1..=classes).contains(&label);
    for cell in image
        .cells()
        .iter()
        .filter(|cell| is_class(cell.prediction))
    {
        *areas.entry(cell.prediction).or_default() += u64::from(cell.pixels);
    }
    // Of equal areas `max_by_key` takes the last: reversed, the lowest id.
    areas
        .into_iter()
        .rev()
        .max_by_key(|(_, area)| *area)
        .map(|(class, _)| class)
}

/// Whether at least one counted pixel of the truth has the predicted label; without a predicted
/// label, no.
pub(crate) fn is_label_correct(image: &ImageCounts, classes: u16) -> bool {
    let label = predicted_label(image, classes);
    image.cells().iter().any(|cell| Some(cell.truth) == label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IGNORE, LabelMask, Protocol};

    fn counts(prediction: &[u16], truth: &[u16]) -> ImageCounts {
        let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
        let (prediction, truth) = (mask(prediction), mask(truth));
        ImageCounts::new(&prediction, &truth, 9, &Protocol::new(9)).unwrap()
    }

    #[test]
    fn other_is_never_the_predicted_label() {
        assert_eq!(
            predicted_label(&counts(&[0, 0, 0, 4], &[4, 4, 4, 4]), 9),
            Some(4)
        );
        assert_eq!(predicted_label(&counts(&[0, 0], &[4, 4]), 9), None);
    }

    #[test]
    fn of_equal_areas_the_lowest_id_wins() {
        assert_eq!(
            predicted_label(&counts(&[9, 2, 9, 2, 5], &[1; 5]), 9),
            Some(2)
        );
    }

    #[test]
    fn one_true_pixel_anywhere_is_enough() {
        assert!(is_label_correct(&counts(&[3, 3, 0], &[0, 0, 3]), 9));
        assert!(!is_label_correct(&counts(&[3, 3, 0], &[0, 0, 2]), 9));
    }

    #[test]
    fn ignored_pixels_neither_vote_nor_confirm() {
        assert_eq!(
            predicted_label(&counts(&[7, 7, 2], &[IGNORE, IGNORE, 2]), 9),
            Some(2)
        );
    }

    #[test]
    fn an_id_above_the_classes_does_not_vote() {
        let image = counts(&[9, 9, 9, 4], &[4, 4, 4, 4]);
        assert_eq!(predicted_label(&image, 8), Some(4));
    }

    #[test]
    fn no_predicted_foreground_is_wrong() {
        assert!(!is_label_correct(&counts(&[0, 0], &[0, 1]), 9));
    }
}
