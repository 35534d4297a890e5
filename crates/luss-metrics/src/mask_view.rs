//! Borrowed masks: labels that lie in somebody else's memory go in without a copy.

use crate::{Error, LabelMask};

/// A [`LabelMask`] whose labels are borrowed.
///
/// Everything in this crate that reads a mask takes `impl Into<MaskView>`, so a `&LabelMask` and a
/// view of a plain slice are equally good.
///
/// ```
/// use luss_metrics::{Evaluator, MaskView, Protocol};
///
/// let (prediction, truth): ([u16; 6], [u16; 6]) = ([0, 0, 1, 0, 1, 1], [0, 1, 1, 0, 1, 1]);
/// let mut evaluator = Evaluator::new(Protocol::new(1));
/// evaluator.add(MaskView::new(3, 2, &prediction)?, MaskView::new(3, 2, &truth)?)?;
/// assert_eq!(evaluator.report().per_class[1].iou, Some(0.75));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskView<'a> {
    width: usize,
    height: usize,
    labels: &'a [u16],
}

impl<'a> MaskView<'a> {
    /// A mask of `width` times `height` pixels over its row-major labels.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyMask`] for a side of 0 pixels, [`Error::LabelCount`] when `labels` does not
    /// hold one label per pixel.
    pub fn new(width: usize, height: usize, labels: &'a [u16]) -> Result<Self, Error> {
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
    pub fn labels(&self) -> &'a [u16] {
        self.labels
    }

    /// The labels row by row, from the top.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'a [u16]> {
        self.labels.chunks_exact(self.width)
    }

    /// Column and row of the `index`-th pixel in reading order.
    pub(crate) fn position(&self, index: usize) -> (usize, usize) {
        (index % self.width, index / self.width)
    }

    /// Refuses masks of two sizes; `self` is the prediction.
    pub(crate) fn check_same_size(&self, truth: &MaskView) -> Result<(), Error> {
        if self.size() == truth.size() {
            return Ok(());
        }
        Err(Error::SizeMismatch {
            prediction: self.size(),
            truth: truth.size(),
        })
    }
}

impl<'a> From<&'a LabelMask> for MaskView<'a> {
    fn from(mask: &'a LabelMask) -> Self {
        Self {
            width: mask.width(),
            height: mask.height(),
            labels: mask.labels(),
        }
    }
}

impl<'a> From<&MaskView<'a>> for MaskView<'a> {
    fn from(view: &MaskView<'a>) -> Self {
        *view
    }
}

/// An array of height times width labels. Refused unless its rows lie one behind the other in
/// memory; `as_standard_layout` makes such a copy of any other.
///
/// ```
/// use luss_metrics::{Error, MaskView};
///
/// let array = ndarray::arr2(&[[0u16, 1, 1], [0, 0, 1]]);
/// assert_eq!(MaskView::try_from(array.view())?.size(), (3, 2));
/// assert_eq!(MaskView::try_from(array.t()), Err(Error::ScatteredLabels));
/// # Ok::<(), Error>(())
/// ```
#[cfg(feature = "ndarray")]
impl<'a> TryFrom<ndarray::ArrayView2<'a, u16>> for MaskView<'a> {
    type Error = Error;

    fn try_from(array: ndarray::ArrayView2<'a, u16>) -> Result<Self, Error> {
        let (height, width) = array.dim();
        let labels = array.to_slice().ok_or(Error::ScatteredLabels)?;
        Self::new(width, height, labels)
    }
}

/// Refuses sides that do not fit the number of labels.
pub(crate) fn check_sides(width: usize, height: usize, labels: usize) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(Error::EmptyMask { width, height });
    }
    if width.checked_mul(height) != Some(labels) {
        return Err(Error::LabelCount {
            width,
            height,
            labels,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_the_wrong_size_is_refused() {
        assert!(MaskView::new(3, 5, &[0; 14]).is_err());
        assert!(MaskView::new(0, 5, &[]).is_err());
        assert!(MaskView::new(usize::MAX, 2, &[0; 2]).is_err());
    }

    #[test]
    fn a_view_of_a_mask_is_the_mask() {
        let mask = LabelMask::new(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        let view = MaskView::from(&mask);
        assert_eq!(view, MaskView::new(3, 2, &[0, 1, 2, 3, 4, 5]).unwrap());
        assert_eq!(LabelMask::from(view), mask);
        assert_eq!(view.position(5), (2, 1));
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn an_array_goes_in_without_a_copy_and_a_transposed_one_is_refused() {
        let array = ndarray::arr2(&[[0u16, 1, 2], [3, 4, 5]]);
        let view = MaskView::try_from(array.view()).unwrap();
        assert_eq!(view.labels().as_ptr(), array.as_ptr());
        assert_eq!(view.size(), (3, 2));
        assert_eq!(MaskView::try_from(array.t()), Err(Error::ScatteredLabels));
    }
}
