//! What exactly is measured: the choices in which published evaluations differ.

use serde::{Deserialize, Serialize};

use crate::{Error, IGNORE};

/// The settings of an evaluation. [`Protocol::new`] gives those of the published toolbox.
///
/// Stored beside the scores (see [`crate::Report`]), so that two numbers can be compared honestly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Number C of classes, without "other": 50, 300 or 919 in ImageNet-S; between 1 and 999.
    pub classes: u16,
    /// What a class that occurs in no mask does to a mean over classes.
    #[serde(default)]
    pub absent_class: AbsentClass,
    /// Whether the seam between an object and an ignored region is a boundary.
    #[serde(default)]
    pub boundary_ignore: BoundaryIgnore,
    /// Thickness of a boundary as a fraction of the image diagonal; above 0, at most 1.
    #[serde(default = "reference_boundary_ratio")]
    pub boundary_ratio: f64,
}

/// What a class that occurs neither in a truth nor in a prediction does to the mean IoU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbsentClass {
    /// It counts as IoU 0: the mean always runs over C + 1 labels, as in the published toolbox.
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
    /// The published protocol for `classes` classes: absent classes count 0, the seam with
    /// ignored regions is a boundary, boundaries are 3 % of the diagonal thick.
    pub fn new(classes: u16) -> Self {
        Self {
            classes,
            absent_class: AbsentClass::default(),
            boundary_ignore: BoundaryIgnore::default(),
            boundary_ratio: reference_boundary_ratio(),
        }
    }

    /// Refuses settings that mean nothing; call it on a protocol that was read from a file.
    ///
    /// # Errors
    ///
    /// [`Error::ClassCount`] and [`Error::BoundaryRatio`] when a value is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        check_classes(self.classes)?;
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

/// Refuses class counts whose ids would collide with ignore.
pub(crate) fn check_classes(classes: u16) -> Result<(), Error> {
    if (1..IGNORE).contains(&classes) {
        return Ok(());
    }
    Err(Error::ClassCount { classes })
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
        assert!(Protocol::new(999).check().is_ok());
        assert_eq!(
            Protocol::new(1000).check(),
            Err(Error::ClassCount { classes: 1000 })
        );
        assert_eq!(
            Protocol::new(0).check(),
            Err(Error::ClassCount { classes: 0 })
        );
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
