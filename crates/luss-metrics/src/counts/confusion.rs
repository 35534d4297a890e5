//! The confusion matrix: pixels by true and predicted label.

use serde::{Deserialize, Serialize};

use crate::{
    Error, ImageCounts,
    counts::{checked::check_same, image_counts::check_labels, pair_table::PairTable},
    protocol::check_classes,
};

/// Pixels by true and predicted label, 0 ("other") to C each, summed over pictures. Exact, and
/// merged as an [`crate::Evaluator`] is.
///
/// Ignored pixels are in no cell, nor are predicted labels above C (see
/// [`crate::OutOfRange::Drop`]). Memory: about 40 bytes for each pair of labels that occurs.
///
/// ```
/// use luss_metrics::{Confusion, ImageCounts, LabelMask, Protocol};
///
/// let truth = LabelMask::new(6, 1, vec![1, 1, 0, 0, 0, 0])?;
/// let prediction = LabelMask::new(6, 1, vec![1, 1, 1, 1, 0, 0])?;
/// let mut confusion = Confusion::new(1);
/// confusion.add(&ImageCounts::new(&prediction, &truth, 1, &Protocol::new(1))?)?;
/// assert_eq!((confusion.of(0, 0), confusion.of(0, 1)), (2, 2));
/// assert_eq!((confusion.of(1, 0), confusion.of(1, 1)), (0, 2));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedConfusion")]
pub struct Confusion {
    classes: u16,
    /// By (true label, predicted label).
    pixels: PairTable,
}

impl Confusion {
    /// No pixel yet, for labels 0 to `classes`.
    ///
    /// # Panics
    ///
    /// If `classes` is not in `1..=65_534`.
    pub fn new(classes: u16) -> Self {
        check_classes(classes, u16::MAX).unwrap_or_else(|error| panic!("{error}"));
        Self {
            classes,
            pixels: PairTable::default(),
        }
    }

    /// Adds a picture whose predicted labels are class ids (see [`ImageCounts::matched_with_seams`]).
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a true label above the classes; nothing is then added.
    pub fn add(&mut self, image: &ImageCounts) -> Result<(), Error> {
        check_labels(image, u16::MAX, self.classes)?;
        let cells = image.cells().iter();
        for cell in cells.filter(|cell| cell.prediction <= self.classes) {
            let pixels = u64::from(cell.pixels);
            self.pixels.add(cell.truth, cell.prediction, pixels);
        }
        Ok(())
    }

    /// Adds the pictures of another table.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the tables differ in their classes, [`Error::CountOverflow`] when
    /// a state was tampered with; the table is then unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let size = |it: &Self| format!("{} classes", it.classes);
        check_same("confusion matrices", size(self), size(other))?;
        self.pixels = self.pixels.sum(&other.pixels)?;
        Ok(())
    }

    /// Number C of classes, without "other".
    pub fn classes(&self) -> u16 {
        self.classes
    }

    /// Pixels with this true and this predicted label.
    ///
    /// # Panics
    ///
    /// If a label is above C.
    pub fn of(&self, truth: u16, prediction: u16) -> u64 {
        let (largest, classes) = (truth.max(prediction), self.classes);
        assert!(largest <= classes, "label {largest} of {classes}");
        self.pixels.get(truth, prediction)
    }

    /// The cells that are not 0, as (true label, predicted label, pixels), in ascending order.
    pub fn cells(&self) -> impl Iterator<Item = (u16, u16, u64)> {
        self.pixels.iter()
    }
}

/// The stored form of a table, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedConfusion {
    classes: u16,
    pixels: PairTable,
}

impl TryFrom<UncheckedConfusion> for Confusion {
    type Error = Error;

    fn try_from(UncheckedConfusion { classes, pixels }: UncheckedConfusion) -> Result<Self, Error> {
        check_classes(classes, u16::MAX)?;
        let possible = |truth: u16, prediction: u16| truth.max(prediction) <= classes;
        pixels.check("confusion matrix", possible)?;
        Ok(Self { classes, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IGNORE, LabelMask, OutOfRange, Protocol};

    fn counts(prediction: &[u16], truth: &[u16]) -> ImageCounts {
        let protocol = Protocol {
            out_of_range: OutOfRange::Drop,
            ..Protocol::new(2)
        };
        let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
        ImageCounts::new(&mask(prediction), &mask(truth), 2, &protocol).unwrap()
    }

    #[test]
    fn ignored_pixels_and_stray_predictions_are_in_no_cell() {
        let mut confusion = Confusion::new(2);
        let image = counts(&[0, 1, 9, 2, 2], &[0, 2, 1, 2, IGNORE]);
        confusion.add(&image).unwrap();
        let cells: Vec<_> = confusion.cells().collect();
        assert_eq!(cells, [(0, 0, 1), (2, 1, 1), (2, 2, 1)]);
    }

    #[test]
    fn merged_halves_are_the_whole() {
        let images = [
            counts(&[1, 1, 0], &[1, 2, 0]),
            counts(&[2, 1, 0], &[1, 2, 1]),
        ];
        let [mut whole, mut a, mut b] = [(); 3].map(|()| Confusion::new(2));
        images.iter().for_each(|image| whole.add(image).unwrap());
        a.add(&images[0]).unwrap();
        b.add(&images[1]).unwrap();
        b.merge(&a).unwrap();
        assert_eq!(b, whole);
        assert!(b.merge(&Confusion::new(3)).is_err());
        let stored = serde_json::to_string(&b).unwrap();
        assert_eq!(serde_json::from_str::<Confusion>(&stored).unwrap(), whole);
        let damaged = stored.replace("\"classes\":2", "\"classes\":1");
        assert!(serde_json::from_str::<Confusion>(&damaged).is_err());
    }

    #[test]
    #[should_panic(expected = "0 classes are not possible")]
    fn a_matrix_of_no_class_is_a_bug_of_the_caller() {
        Confusion::new(0);
    }
}
