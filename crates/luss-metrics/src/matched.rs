//! Predictions that hold generated clusters: matched and scored in one pass over the pictures.

use crate::{
    Error, Evaluator, ImageCounts, LabelMask, MaskView, Matching, MatchingRule, Overlap, Protocol,
    Report,
};

/// Finds the class of each cluster and scores the result.
///
/// The counts of each picture stay until the matching is known: a few hundred bytes (see
/// [`ImageCounts`]).
///
/// ```
/// use luss_metrics::{Error, LabelMask, MatchedEvaluator, MatchingRule, Protocol};
///
/// let truth = LabelMask::new(4, 1, vec![0, 2, 2, 0])?;
/// let predicted = LabelMask::new(4, 1, vec![0, 1, 1, 1])?;
/// let mut evaluator = MatchedEvaluator::new(MatchingRule::ImageLevel, 2, Protocol::new(2));
/// evaluator.add(&predicted, &truth)?;
/// let again = |_| Ok::<_, Error>((predicted.clone(), truth.clone()));
/// let (report, matching) = evaluator.finish(again)?;
/// assert_eq!((matching.class_of(1), report.per_class[2].iou), (2, Some(2.0 / 3.0)));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MatchedEvaluator {
    rule: MatchingRule,
    protocol: Protocol,
    overlap: Overlap,
    images: Vec<ImageCounts>,
}

impl MatchedEvaluator {
    /// For predictions with ids 1 to `clusters`.
    ///
    /// # Panics
    ///
    /// As [`Evaluator::new`] and [`Overlap::new`].
    pub fn new(rule: MatchingRule, clusters: u16, protocol: Protocol) -> Self {
        protocol.check().unwrap_or_else(|error| panic!("{error}"));
        Self {
            rule,
            protocol,
            overlap: Overlap::new(clusters, protocol.classes, protocol.ignore),
            images: Vec::new(),
        }
    }

    /// Adds one picture.
    ///
    /// # Errors
    ///
    /// Those of [`ImageCounts::new`] and [`Overlap::add_counts`]; the evaluator is then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        let clusters = self.overlap.clusters();
        let image = ImageCounts::new(prediction, truth, clusters, &self.protocol)?;
        self.overlap.add_counts(&image)?;
        self.images.push(image);
        Ok(())
    }

    /// The best matching and the scores under it.
    ///
    /// Where the matching joins labels of a picture, its boundaries follow from the masks alone: `masks`
    /// reads prediction and truth of that picture again. It is given the picture's number, in the order
    /// of [`MatchedEvaluator::add`]. A matching of as many clusters as classes, one to one, joins none.
    ///
    /// # Errors
    ///
    /// Those of [`Matching::fit`] and of `masks`.
    pub fn finish<E: From<Error>>(
        self,
        mut masks: impl FnMut(usize) -> Result<(LabelMask, LabelMask), E>,
    ) -> Result<(Report, Matching), E> {
        let matching = Matching::fit(self.rule, &self.overlap)?;
        let mut evaluator = Evaluator::new(self.protocol);
        for (index, image) in self.images.iter().enumerate() {
            match image.matched(&matching)? {
                Some(matched) => evaluator.add_counts(&matched)?,
                None => {
                    let (prediction, truth) = masks(index)?;
                    evaluator.add(&matching.apply(&prediction)?, &truth)?;
                }
            }
        }
        Ok((evaluator.report(), matching))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Noise, blobs};

    /// Pictures with as many clusters as classes, with more, and with fewer.
    #[test]
    fn one_pass_scores_as_matching_first_and_evaluating_then() {
        for clusters in [3, 7, 2] {
            let mut noise = Noise::new(u64::from(clusters));
            let pictures: Vec<(LabelMask, LabelMask)> = (0..9)
                .map(|_| {
                    (
                        blobs(&mut noise, 23, 17, 4, clusters),
                        blobs(&mut noise, 23, 17, 6, 3),
                    )
                })
                .collect();
            let rule = MatchingRule::ImageLevel;
            let mut once = MatchedEvaluator::new(rule, clusters, Protocol::new(3));
            let mut overlap = Overlap::new(clusters, 3, crate::IGNORE);
            for (prediction, truth) in &pictures {
                once.add(prediction, truth).unwrap();
                overlap.add(prediction, truth).unwrap();
            }
            let expected = Matching::fit(rule, &overlap).unwrap();
            let mut evaluator = Evaluator::new(Protocol::new(3));
            for (prediction, truth) in &pictures {
                evaluator
                    .add(&expected.apply(prediction).unwrap(), truth)
                    .unwrap();
            }
            let again = |index: usize| Ok::<_, Error>(pictures[index].clone());
            let (report, matching) = once.finish(again).unwrap();
            assert_eq!((report, matching), (evaluator.report(), expected));
        }
    }
}
