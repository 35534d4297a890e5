//! Turns label masks into numbers: the metrics and protocols of large-scale unsupervised semantic
//! segmentation.
//!
//! The benchmark (Gao et al. 2022, *Large-scale Unsupervised Semantic Segmentation*,
//! <https://arxiv.org/abs/2106.03149>) asks a model to name the pixels of ImageNet-S pictures
//! without ever having seen a label. Its predictions hold *clusters*; this crate finds the class
//! that each cluster stands for and scores the result: mIoU, boundary mIoU, image accuracy,
//! F-measure, each also by class or object size. It knows no tensors and no models, and
//! files only behind the feature `folder`: masks go in, numbers come out.
//!
//! ```
//! use luss_metrics::{IGNORE, LabelMask, MatchedEvaluator, MatchingRule, Protocol};
//!
//! // A picture of 4 by 2 pixels: the truth has class 2, the model calls it cluster 3.
//! let truth = LabelMask::new(4, 2, vec![0, 2, 2, IGNORE, 0, 2, 2, 2])?;
//! let predicted = LabelMask::new(4, 2, vec![0, 3, 3, 3, 0, 0, 3, 3])?;
//!
//! let mut evaluator = MatchedEvaluator::new(Protocol::new(3), MatchingRule::ImageLevel);
//! evaluator.add(&predicted, &truth)?; // each picture of the validation set
//! let matched = evaluator.finish()?;
//! assert_eq!(matched.matching.class_of(3), 2);
//! assert_eq!(matched.report.per_class[2].iou, Some(4.0 / 5.0));
//! println!("{}", matched.report); // a table in percent
//! # Ok::<(), luss_metrics::Error>(())
//! ```
//!
//! The [`tour`] has one idea a section, from two masks to intervals.
//!
//! # Should I be using this crate?
//!
//! * You have masks of clusters and want the numbers of the paper's tables: [`MatchedEvaluator`]
//!   with [`Protocol::new`]. Its integers equal those of the published toolbox; the percentages
//!   agree to the toolbox's single precision.
//! * Your predictions hold class ids already (semi-supervised training, distance matching):
//!   [`Evaluator`], without a matching. Matching them again would only inflate the scores.
//! * You look for a score that does not punish classes which no picture shows, or for boundaries
//!   that a perfect prediction can reproduce: see [`AbsentClass::Skip`] and
//!   [`BoundaryIgnore::Transparent`]. Both leave the published protocol.
//!
//! # What a mask is
//!
//! A [`LabelMask`] holds one `u16` for each pixel, row by row: 0 is "other" ([`OTHER`], scored like
//! a class), 1 to C are classes, and one id above them is ignore ([`IGNORE`] = 1000 unless
//! [`Protocol::ignore`] says otherwise, so C goes up to 65 534). Ignored pixels count nowhere.
//! Predictions have the size of the truth and never hold the ignore id.
//!
//! Labels in somebody else's memory go in as a [`MaskView`] without a copy: slices, and with the
//! feature `ndarray` two-dimensional array views.
//!
//! # One pass over the pictures
//!
//! Counting is the expensive part, so it is done once: [`ImageCounts`] holds all that any score
//! needs of a picture, in a few hundred bytes. Matching, evaluation and bootstrap follow from that.
//! Only where a matching joins clusters of a picture, its boundaries need the masks once more.
//!
//! ```
//! use luss_metrics::{
//!     Bootstrap, Error, Fit, LabelMask, MatchedEvaluator, MatchingRule, Predictions, Protocol,
//! };
//!
//! let (protocol, rule, clusters) = (Protocol::new(2), MatchingRule::ImageLevel, 3);
//! let truth = LabelMask::new(4, 1, vec![0, 2, 2, 0])?;
//! let predicted = LabelMask::new(4, 1, vec![0, 1, 1, 3])?;
//! let mut evaluator = MatchedEvaluator::new(protocol, rule).with_clusters(clusters);
//! for _ in 0..30 {
//!     evaluator.add(&predicted, &truth)?;
//! }
//! let read_again = |_picture: usize| Ok::<_, Error>((predicted.clone(), truth.clone()));
//! let matched = evaluator.finish_with(read_again)?;
//! assert_eq!(matched.ties.assignments, 4); // class 2 is cluster 1 or 3, class 1 one of the others
//!
//! let fit = Fit::Refit { rule, clusters };
//! let predictions = Predictions { images: evaluator.images(), fit };
//! let intervals = Bootstrap::new(1, 100).intervals(&predictions, &protocol)?;
//! assert_eq!(intervals.scores[0].value, matched.report.miou);
//! # Ok::<(), luss_metrics::Error>(())
//! ```
//!
//! # The items, by the paper's terms
//!
//! | term | item | definition |
//! |---|---|---|
//! | mIoU | [`Report::miou`], [`class_iou`] | mean over labels 0 to C of intersection over union, each summed over all pictures |
//! | boundary mIoU (b-mIoU) | [`Report::boundary_miou`], [`boundary_map`] | the same, of the pixels within 3 % of the diagonal of a contour |
//! | image-level accuracy (Img-Acc) | [`Report::image_accuracy`] | is the largest predicted class one of the picture's classes? |
//! | F-measure (F_β) | [`Report::f_beta`] | foreground against "other", β² = 0.3, mean over pictures |
//! | object sizes S, MS, ML, L | [`Report::sizes`], [`SizeGroup`] | both IoUs for objects of up to 5, 25, 50 and 100 % of a picture |
//! | image-level matching, matching matrix | [`Matching`], [`CoOccurrence`] | which cluster is which class |
//! | match and score in one pass | [`MatchedEvaluator`] | what the two above give, each picture read once |
//! | pixel and mean accuracy, fwIoU; precision, recall, Dice | [`Report::aacc`], [`ClassScore`] | what general tools print |
//! | confusion matrix | [`Confusion`] | pixels by true and predicted label |
//! | other matchings | [`MatchingRule`], [`Overlap`] | by pixels, by IoU, many to one |
//! | ties | [`Ties`] | how many matchings are optimal, and the range of mIoU over them |
//! | threshold t of the pixel attention | [`ThresholdCurve`], [`ThresholdRule`] | matched mIoU at 81 thresholds from one pass; rules without masks |
//! | uncertainty | [`Bootstrap`], [`Score`] | intervals by resampled pictures, paired comparison |
//! | clustering quality | [`normalized_mutual_information`], [`adjusted_rand_index`], [`cluster_accuracy`] | clusters of pictures against class folders |
//! | best and worst pictures | [`ImageScore`], [`image_miou`] | the scores of one picture |
//! | evaluation protocol | [`Protocol`] | the choices in which published evaluations differ |
//!
//! # Exact, mergeable, strict
//!
//! * Pixels are counted exactly and divided once, at the end. What an [`Evaluator`], a
//!   [`MatchedEvaluator`], a [`CoOccurrence`] table, an [`Overlap`], a [`Confusion`], a
//!   [`ThresholdCurve`] and an [`AttentionHistogram`] give is the same, bit for bit, in whatever
//!   order pictures are added and however partial results are merged: over threads and, stored with
//!   serde, over machines. A stored state that contradicts itself is refused.
//! * Ratios are `f64` in `0..=1`; percent appear in print only. A score of nothing is `None`.
//! * A stray id, two sizes or a NaN are an [`Error`] that names the value, the place and a remedy,
//!   and leave the receiver unchanged. The published toolbox drops stray ids silently, which
//!   hides false positives; [`OutOfRange::Drop`] does the same on request.
//! * Each picture is read a constant number of times, whatever the number of classes and the
//!   thickness of the boundary.

mod counts;
mod error;
mod evaluator;
#[cfg(feature = "folder")]
pub mod folder;
mod mask;
mod mask_view;
mod matched;
mod matching;
mod protocol;
mod report;
mod scores;
#[cfg(test)]
mod testing;
mod thresholds;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
#[doc = include_str!("../TOUR.md")]
pub mod tour {}
mod uncertainty;

pub use counts::{Areas, ClassAreas, Confusion, ImageCounts};
pub use error::Error;
pub use evaluator::Evaluator;
pub use mask::{IGNORE, LabelMask, OTHER};
pub use mask_view::MaskView;
pub use matched::{Matched, MatchedEvaluator};
pub use matching::{CoOccurrence, Matching, MatchingRule, MiouRange, Overlap, Ties};
pub use protocol::{AbsentClass, BoundaryIgnore, OutOfRange, Protocol};
pub use report::{ClassScore, Report, SizeScore};
pub use scores::{
    ImageScore, Score, SizeGroup, adjusted_rand_index, boundary_map, boundary_map_transparent,
    boundary_thickness, class_iou, cluster_accuracy, image_miou, normalized_mutual_information,
};
pub use thresholds::{
    AttentionHistogram, ChosenThreshold, LabelsUsed, ThresholdCurve, ThresholdPoint, ThresholdRule,
    otsu_split,
};
pub use uncertainty::{
    Bootstrap, Comparison, Fit, Interval, Intervals, Predictions, ScoreComparison, ScoreInterval,
};
