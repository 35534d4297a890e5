//! Predictions that hold generated clusters: matched and scored in one pass over the pictures.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Evaluator, ImageCounts, LabelMask, MaskView, Matching, MatchingRule, Overlap, Protocol,
    Report, Ties,
    counts::{checked::check_same, image_counts::check_labels},
    protocol::check_clusters,
};

/// Finds the class of each cluster and scores the result.
///
/// The counts of each picture stay until the matching is known: a few hundred bytes (see
/// [`ImageCounts`]). What [`MatchedEvaluator::finish`] gives is the same, bit for bit, in whatever order
/// pictures are added and however evaluators are [merged](MatchedEvaluator::merge), on threads or,
/// stored with serde, on machines.
///
/// ```
/// use luss_metrics::{LabelMask, MatchedEvaluator, MatchingRule, Protocol};
///
/// let truth = LabelMask::new(4, 1, vec![0, 2, 2, 0])?;
/// let predicted = LabelMask::new(4, 1, vec![0, 1, 1, 1])?;
/// let mut evaluator = MatchedEvaluator::new(Protocol::new(2), MatchingRule::ImageLevel);
/// evaluator.add(&predicted, &truth)?;
/// let matched = evaluator.finish()?;
/// assert_eq!(matched.matching.class_of(1), 2);
/// assert_eq!(matched.report.per_class[2].iou, Some(2.0 / 3.0));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedMatchedEvaluator")]
pub struct MatchedEvaluator {
    protocol: Protocol,
    rule: MatchingRule,
    clusters: u16,
    images: Vec<ImageCounts>,
}

/// Clusters matched to classes, and what they score under the matching.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// The scores.
    pub report: Report,
    /// The best matching.
    pub matching: Matching,
    /// Which other matchings are as good.
    pub ties: Ties,
    /// The exact counts behind the scores.
    pub evaluator: Evaluator,
}

impl MatchedEvaluator {
    /// For predictions with as many clusters as there are classes.
    ///
    /// # Panics
    ///
    /// If the protocol fails [`Protocol::check`]; call that first on one that comes from a file.
    pub fn new(protocol: Protocol, rule: MatchingRule) -> Self {
        protocol.check().unwrap_or_else(|error| panic!("{error}"));
        Self {
            protocol,
            rule,
            clusters: protocol.classes,
            images: Vec::new(),
        }
    }

    /// The same for predictions with ids 1 to `clusters`.
    ///
    /// # Panics
    ///
    /// If `clusters` is 0, or a picture was added before.
    pub fn with_clusters(self, clusters: u16) -> Self {
        check_clusters(clusters).unwrap_or_else(|error| panic!("{error}"));
        assert!(self.images.is_empty(), "clusters are set before pictures");
        Self { clusters, ..self }
    }

    /// Adds one picture.
    ///
    /// # Errors
    ///
    /// Those of [`ImageCounts::new`]; the evaluator is then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        let image = ImageCounts::new(prediction, truth, self.clusters, &self.protocol)?;
        self.add_counts(image)
    }

    /// Adds a picture that was counted before, with its clusters, under the same protocol: on
    /// another thread, say.
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a cluster above the clusters (unless the protocol drops it) or
    /// a label above the classes; the evaluator is then unchanged.
    pub fn add_counts(&mut self, image: ImageCounts) -> Result<(), Error> {
        let largest = self.protocol.largest_id(self.clusters);
        check_labels(&image, largest, self.protocol.classes)?;
        self.images.push(image);
        Ok(())
    }

    /// Adds the pictures of another evaluator behind those of this one.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when protocols, rules or numbers of clusters differ; the evaluator is
    /// then unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let settings =
            |it: &Self| format!("{:?}, {} clusters, {}", it.protocol, it.clusters, it.rule);
        check_same("evaluators", settings(self), settings(other))?;
        self.images.extend_from_slice(&other.images);
        Ok(())
    }

    /// Number of clusters.
    pub fn clusters(&self) -> u16 {
        self.clusters
    }

    /// The settings.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The pictures added, in this order; their predicted labels are clusters.
    pub fn images(&self) -> &[ImageCounts] {
        &self.images
    }

    /// The best matching and those that are as good, without the scores under them.
    ///
    /// # Errors
    ///
    /// Those of [`Matching::fit`].
    pub fn fit(&self) -> Result<(Matching, Ties), Error> {
        let mut overlap = Overlap::new(self.clusters, self.protocol);
        let mut images = self.images.iter();
        images.try_for_each(|image| overlap.add_counts(image))?;
        Matching::fit_with_ties(self.rule, &overlap)
    }

    /// The best matching and the scores under it, from the counts alone.
    ///
    /// # Errors
    ///
    /// Those of [`Matching::fit`]; [`Error::MasksNeeded`] where the matching joins clusters of a
    /// picture, whose boundaries then follow from the masks alone. One to one, with at most as many
    /// clusters as classes, it joins none.
    pub fn finish(&self) -> Result<Matched, Error> {
        self.finish_by(|_, pictures| {
            let pictures = pictures.to_vec();
            Err(Error::MasksNeeded { pictures })
        })
    }

    /// As [`MatchedEvaluator::finish`], but where the matching joins clusters of a picture, `masks` reads
    /// its prediction and its truth again. It is given the picture's number in
    /// [`MatchedEvaluator::images`], from 0.
    ///
    /// # Errors
    ///
    /// Those of [`Matching::fit`] and of `masks`.
    pub fn finish_with<E: From<Error>>(
        &self,
        mut masks: impl FnMut(usize) -> Result<(LabelMask, LabelMask), E>,
    ) -> Result<Matched, E> {
        self.finish_by(|matching, pictures| {
            let mut evaluator = Evaluator::new(self.protocol);
            for &picture in pictures {
                let (prediction, truth) = masks(picture)?;
                let matched = matching.apply_under(&prediction, &self.protocol)?;
                evaluator.add(&matched, &truth)?;
            }
            Ok(evaluator)
        })
    }

    /// As [`MatchedEvaluator::finish_with`], for callers that read masks on several threads.
    ///
    /// `score` is given the matching and the numbers of the pictures whose clusters it joins. It
    /// evaluates these from their masks, each under [`Matching::apply_under`]. Where there are none, it
    /// is not called.
    ///
    /// # Errors
    ///
    /// Those of [`Matching::fit`] and of `score`; [`Error::Unmergeable`] for an evaluator of another
    /// protocol, [`Error::PicturesScored`] for one of another number of pictures.
    pub fn finish_by<E: From<Error>>(
        &self,
        score: impl FnOnce(&Matching, &[usize]) -> Result<Evaluator, E>,
    ) -> Result<Matched, E> {
        let (matching, ties) = self.fit()?;
        let (mut evaluator, joined) = self.score(&matching)?;
        if !joined.is_empty() {
            let scored = score(&matching, &joined)?;
            check_scored(scored.images(), joined.len())?;
            evaluator.merge(&scored)?;
        }
        Ok(Matched {
            report: evaluator.report(),
            matching,
            ties,
            evaluator,
        })
    }

    /// The pictures whose counts tell enough, and the numbers of the others.
    fn score(&self, matching: &Matching) -> Result<(Evaluator, Vec<usize>), Error> {
        let mut evaluator = Evaluator::new(self.protocol);
        let mut joined = Vec::new();
        for (picture, image) in self.images.iter().enumerate() {
            match image.matched(matching, &self.protocol)? {
                Some(matched) => evaluator.add_counts(&matched)?,
                None => joined.push(picture),
            }
        }
        Ok((evaluator, joined))
    }
}

fn check_scored(scored: u64, joined: usize) -> Result<(), Error> {
    if scored == joined as u64 {
        return Ok(());
    }
    Err(Error::PicturesScored { scored, joined })
}

/// The stored form of an evaluator, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedMatchedEvaluator {
    protocol: Protocol,
    rule: MatchingRule,
    clusters: u16,
    images: Vec<ImageCounts>,
}

impl TryFrom<UncheckedMatchedEvaluator> for MatchedEvaluator {
    type Error = Error;

    fn try_from(stored: UncheckedMatchedEvaluator) -> Result<Self, Error> {
        stored.protocol.check()?;
        check_clusters(stored.clusters)?;
        let empty = Self::new(stored.protocol, stored.rule);
        let mut evaluator = empty.with_clusters(stored.clusters);
        let mut images = stored.images.into_iter();
        images.try_for_each(|image| evaluator.add_counts(image))?;
        Ok(evaluator)
    }
}

#[cfg(test)]
mod tests;
