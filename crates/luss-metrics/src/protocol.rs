//! What exactly is measured: the choices in which published evaluations differ.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, IGNORE, scores::iou::all_labels};

/// Stands for every predicted id out of range: it is never a class. Which of them a pixel had makes no
/// difference, for each differs from all labels that are scored.
pub(crate) const STRAY: u16 = u16::MAX;

/// The settings of an evaluation. [`Protocol::new`] gives those of the published toolbox.
///
/// Stored beside the scores (see [`crate::Report`]), so that two numbers can be compared honestly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Number C of classes, without "other": 50, 300 or 919 in ImageNet-S. At least 1 and below
    /// `ignore`, so at most 65 534.
    pub classes: u16,
    /// The id of pixels that count nowhere, in true masks: 1000 in ImageNet-S, often 255 or 65535
    /// elsewhere. It lies above the classes; where nothing is ignored, any id that does not occur.
    #[serde(default = "imagenet_s_ignore")]
    pub ignore: u16,
    /// What becomes of predicted ids above the classes (above the clusters, before a matching).
    #[serde(default)]
    pub out_of_range: OutOfRange,
    /// What a class that occurs in no mask does to a mean over classes.
    #[serde(default)]
    pub absent_class: AbsentClass,
    /// Whether the seam between an object and an ignored region is a boundary.
    #[serde(default)]
    pub boundary_ignore: BoundaryIgnore,
    /// Thickness of a boundary as a fraction of the image diagonal; above 0, at most 1.
    #[serde(default = "reference_boundary_ratio")]
    pub boundary_ratio: f64,
    /// Whether "other" is one of the labels that means run over. Without it they run over the
    /// classes 1 to C, as befits true masks whose id 0 is ignored too (see
    /// [`crate::LabelMask::ignore_ids`]).
    #[serde(default = "scored")]
    pub score_other: bool,
}

/// What becomes of predicted ids that are neither "other" nor a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfRange {
    /// They are an error with the place of the first one.
    #[default]
    Error,
    /// As in the published toolbox, whose histograms end at C: such a pixel belongs to no predicted
    /// area, so it is nobody's false positive, while it stays in the area of its true label. It is
    /// foreground for the F-measure, a region of its own for boundaries, and no vote for the image
    /// label. The ignore id in a prediction is such an id.
    #[serde(alias = "reference")]
    Drop,
}

/// What a class that occurs neither in a truth nor in a prediction does to the mean IoU, and a
/// picture without foreground in both to the means over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbsentClass {
    /// It counts 0: the mean always runs over all labels or pictures, as in the published toolbox.
    /// Two exceptions: a mean is no number when nothing of its kind occurs at all, and a class
    /// whose true pixels are none of a boundary is left out of boundary mIoU.
    #[default]
    Zero,
    /// It is left out of the mean.
    Skip,
}

/// How ignored pixels act on the boundaries of their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundaryIgnore {
    /// An ignored region is a region like any other, and its seam a boundary, as in the
    /// published toolbox. A perfect prediction cannot reproduce that boundary.
    #[default]
    Edge,
    /// Pixels that the truth ignores are looked through, in both masks: an object that ends at
    /// an ignored region has no boundary there.
    Transparent,
}

impl Protocol {
    /// The published protocol for `classes` classes: 1000 is ignored, absent classes count 0, the
    /// seam with ignored regions is a boundary, boundaries are 3 % of the diagonal thick. Unlike
    /// there, a stray prediction is an error. From 1000 classes on, choose another `ignore`.
    pub fn new(classes: u16) -> Self {
        Self {
            classes,
            ignore: IGNORE,
            out_of_range: OutOfRange::default(),
            absent_class: AbsentClass::default(),
            boundary_ignore: BoundaryIgnore::default(),
            boundary_ratio: reference_boundary_ratio(),
            score_other: scored(),
        }
    }

    /// The labels that means run over.
    pub(crate) fn labels(&self) -> Range<u16> {
        match self.score_other {
            true => all_labels(self.classes),
            false => 1..self.classes + 1,
        }
    }

    /// The largest id that predictions with ids up to `clusters` may hold.
    pub(crate) fn largest_id(&self, clusters: u16) -> u16 {
        match self.out_of_range {
            OutOfRange::Error => clusters,
            OutOfRange::Drop => u16::MAX,
        }
    }

    /// Refuses settings that mean nothing; call it on a protocol that was read from a file.
    ///
    /// # Errors
    ///
    /// [`Error::ClassCount`] and [`Error::BoundaryRatio`] when a value is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        check_classes(self.classes, self.ignore)?;
        let ratio = self.boundary_ratio;
        if ratio > 0.0 && ratio <= 1.0 {
            return Ok(());
        }
        Err(Error::BoundaryRatio { ratio })
    }
}

/// The ratio of the published toolbox (the boundary-IoU paper itself uses 0.02).
fn reference_boundary_ratio() -> f64 {
    0.03
}

fn scored() -> bool {
    true
}

fn imagenet_s_ignore() -> u16 {
    IGNORE
}

/// Refuses class counts whose ids would collide with ignore.
pub(crate) fn check_classes(classes: u16, ignore: u16) -> Result<(), Error> {
    if (1..ignore).contains(&classes) {
        return Ok(());
    }
    Err(Error::ClassCount { classes, ignore })
}

/// The id, or [`STRAY`] for one above `clusters`.
pub(crate) fn known_id(id: u16, clusters: u16) -> u16 {
    if id > clusters { STRAY } else { id }
}

/// Refuses predictions without ids. Any number of them fits beside ignore, which predictions do
/// not have.
pub(crate) fn check_clusters(clusters: u16) -> Result<(), Error> {
    match clusters {
        0 => Err(Error::NoClusters),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_needs_only_its_class_count() {
        let protocol: Protocol = serde_json::from_str(r#"{"classes": 50}"#).unwrap();
        assert_eq!(protocol, Protocol::new(50));
    }

    #[test]
    fn a_typo_in_a_protocol_is_refused() {
        let text = r#"{"classes": 50, "absent_clas": "skip"}"#;
        assert!(serde_json::from_str::<Protocol>(text).is_err());
    }

    #[test]
    fn choices_are_spelled_in_lower_case() {
        let text = r#"{"classes": 7, "absent_class": "skip", "boundary_ignore": "transparent"}"#;
        let protocol: Protocol = serde_json::from_str(text).unwrap();
        assert_eq!(protocol.absent_class, AbsentClass::Skip);
        assert_eq!(protocol.boundary_ignore, BoundaryIgnore::Transparent);
    }

    #[test]
    fn class_ids_may_not_collide_with_ignore() {
        let check = |classes, ignore| {
            let protocol = Protocol {
                ignore,
                ..Protocol::new(classes)
            };
            protocol.check()
        };
        assert!(check(999, IGNORE).is_ok());
        assert!(check(65_534, 65_535).is_ok());
        for (classes, ignore) in [(1000, IGNORE), (0, 255), (300, 255), (65_535, 65_535)] {
            let error = Error::ClassCount { classes, ignore };
            assert_eq!(check(classes, ignore), Err(error));
        }
    }

    #[test]
    fn a_boundary_without_thickness_is_refused() {
        for boundary_ratio in [0.0, -0.1, 1.5, f64::NAN] {
            assert!(
                Protocol {
                    boundary_ratio,
                    ..Protocol::new(5)
                }
                .check()
                .is_err()
            );
        }
    }
}
