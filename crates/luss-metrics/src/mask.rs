//! Label masks: one id per pixel.

use serde::{Deserialize, Serialize};

use crate::{Error, MaskView, mask_view::check_sides};

/// The id of pixels that belong to none of the classes; it is scored like a class.
///
/// ```
/// assert_eq!(luss_metrics::OTHER, 0);
/// ```
pub const OTHER: u16 = 0;

/// The id that ImageNet-S gives to pixels without a trustworthy annotation; they are left out of
/// every count. The default of [`crate::Protocol::ignore`].
pub const IGNORE: u16 = 1000;

/// The ids of one picture's pixels: 0 is "other" ([`OTHER`]), 1 to C the classes (or the
/// generated clusters), and one id above them ignore ([`IGNORE`] unless the protocol says
/// otherwise; in true masks only).
///
/// Never empty. Row-major: the pixel in column `x` of row `y` is `labels()[y * width() + x]`.
///
/// ```
/// use luss_metrics::LabelMask;
///
/// let mask = LabelMask::new(3, 2, vec![0, 0, 7, 0, 7, 7])?;
/// assert_eq!((mask.width(), mask.height(), mask.at(2, 0)), (3, 2, 7));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedMask")]
pub struct LabelMask {
    width: usize,
    height: usize,
    labels: Vec<u16>,
}

impl LabelMask {
    /// A mask of `width` times `height` pixels from its row-major labels.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyMask`] for a side of 0 pixels, [`Error::LabelCount`] when `labels` does not
    /// hold one label per pixel.
    pub fn new(width: usize, height: usize, labels: Vec<u16>) -> Result<Self, Error> {
        check_sides(width, height, labels.len())?;
        Ok(Self {
            width,
            height,
            labels,
        })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// All labels, row-major.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// All labels, row-major, to be changed in place.
    ///
    /// ```
    /// use luss_metrics::LabelMask;
    ///
    /// let mut mask = LabelMask::new(3, 1, vec![0, 7, 7])?;
    /// mask.labels_mut().iter_mut().for_each(|id| *id = u16::from(*id > 0));
    /// assert_eq!(mask.labels(), [0, 1, 1]);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn labels_mut(&mut self) -> &mut [u16] {
        &mut self.labels
    }

    /// The labels themselves, row-major, giving up the mask.
    pub fn into_labels(self) -> Vec<u16> {
        self.labels
    }

    /// Makes each pixel whose id is among `ids` one of the pixels to ignore: for sets whose masks
    /// have several such ids, such as 0 and 255.
    ///
    /// ```
    /// use luss_metrics::LabelMask;
    ///
    /// let mut truth = LabelMask::new(4, 1, vec![0, 2, 254, 255])?;
    /// truth.ignore_ids(&[0, 254], 255);
    /// assert_eq!(truth.labels(), [255, 2, 255, 255]);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn ignore_ids(&mut self, ids: &[u16], ignore: u16) {
        let ignored = self.labels.iter_mut().filter(|label| ids.contains(label));
        ignored.for_each(|label| *label = ignore);
    }

    /// Makes the pixels of id 0 pixels to ignore and lowers the ids up to `ignore` by one: for true
    /// masks such as ADE20K's, whose predictions count classes from 0 (mmsegmentation's
    /// `reduce_zero_label`). Pixels to ignore stay so, ids above `ignore` stay as they are.
    ///
    /// ```
    /// use luss_metrics::LabelMask;
    ///
    /// let mut truth = LabelMask::new(4, 1, vec![0, 1, 150, 255])?;
    /// truth.reduce_zero_label(255);
    /// assert_eq!(truth.labels(), [255, 0, 149, 255]);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn reduce_zero_label(&mut self, ignore: u16) {
        let lowered = self.labels.iter_mut().filter(|label| **label < ignore);
        lowered.for_each(|label| *label = label.checked_sub(1).unwrap_or(ignore));
    }

    /// The label in column `x` of row `y`.
    ///
    /// # Panics
    ///
    /// If the pixel lies outside of the mask.
    ///
    /// ```
    /// use luss_metrics::LabelMask;
    ///
    /// let mask = LabelMask::new(3, 2, vec![0, 1, 2, 3, 4, 5])?;
    /// assert_eq!(mask.at(1, 1), 4);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn at(&self, x: usize, y: usize) -> u16 {
        assert!(
            x < self.width,
            "column {x} of a mask of width {}",
            self.width
        );
        self.labels[y * self.width + x]
    }
}

impl From<MaskView<'_>> for LabelMask {
    fn from(view: MaskView) -> Self {
        Self {
            width: view.width(),
            height: view.height(),
            labels: view.labels().to_vec(),
        }
    }
}

/// The stored form of a mask, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedMask {
    width: usize,
    height: usize,
    labels: Vec<u16>,
}

impl TryFrom<UncheckedMask> for LabelMask {
    type Error = Error;

    fn try_from(mask: UncheckedMask) -> Result<Self, Error> {
        Self::new(mask.width, mask.height, mask.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_holds_one_label_per_pixel() {
        let error = LabelMask::new(3, 5, vec![0; 14]).unwrap_err();
        assert_eq!(
            error,
            Error::LabelCount {
                width: 3,
                height: 5,
                labels: 14
            }
        );
    }

    #[test]
    fn a_mask_without_pixels_is_refused() {
        assert!(matches!(
            LabelMask::new(0, 5, vec![]),
            Err(Error::EmptyMask { .. })
        ));
    }

    #[test]
    fn sides_whose_product_overflows_are_refused() {
        assert!(LabelMask::new(usize::MAX, 2, vec![0; 2]).is_err());
    }

    #[test]
    fn pixels_are_in_reading_order() {
        let mask = LabelMask::new(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(mask.at(1, 1), 4);
    }

    #[test]
    fn a_stored_mask_is_checked_when_it_is_read() {
        let text = r#"{"width": 3, "height": 2, "labels": [1, 2]}"#;
        assert!(serde_json::from_str::<LabelMask>(text).is_err());
    }
}
