//! The scores of a report by name, for everything that treats them alike.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Report, SizeGroup};

/// One number of a [`Report`].
///
/// ```
/// use luss_metrics::{Score, SizeGroup};
///
/// assert_eq!(Score::SizeMiou(SizeGroup::Small).name(), "sizes.small.miou");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Score {
    /// [`Report::miou`].
    Miou,
    /// [`Report::miou_without_other`].
    MiouWithoutOther,
    /// [`Report::boundary_miou`].
    BoundaryMiou,
    /// [`Report::image_accuracy`].
    ImageAccuracy,
    /// [`Report::f_beta`].
    FBeta,
    /// [`Report::aacc`].
    AllAccuracy,
    /// [`Report::macc`].
    MeanAccuracy,
    /// [`Report::fwiou`].
    FrequencyWeightedIou,
    /// mIoU of the objects of one size.
    SizeMiou(SizeGroup),
    /// Boundary mIoU of the objects of one size.
    SizeBoundaryMiou(SizeGroup),
}

impl Score {
    /// All scores, in the order of a report.
    pub const ALL: [Score; 16] = [
        Score::Miou,
        Score::MiouWithoutOther,
        Score::BoundaryMiou,
        Score::ImageAccuracy,
        Score::FBeta,
        Score::AllAccuracy,
        Score::MeanAccuracy,
        Score::FrequencyWeightedIou,
        Score::SizeMiou(SizeGroup::Small),
        Score::SizeMiou(SizeGroup::MediumSmall),
        Score::SizeMiou(SizeGroup::MediumLarge),
        Score::SizeMiou(SizeGroup::Large),
        Score::SizeBoundaryMiou(SizeGroup::Small),
        Score::SizeBoundaryMiou(SizeGroup::MediumSmall),
        Score::SizeBoundaryMiou(SizeGroup::MediumLarge),
        Score::SizeBoundaryMiou(SizeGroup::Large),
    ];

    /// Its value, in `0..=1`; `None` where there is nothing to score.
    pub fn of(self, report: &Report) -> Option<f64> {
        match self {
            Score::Miou => report.miou,
            Score::MiouWithoutOther => report.miou_without_other,
            Score::BoundaryMiou => report.boundary_miou,
            Score::ImageAccuracy => report.image_accuracy,
            Score::FBeta => report.f_beta,
            Score::AllAccuracy => report.aacc,
            Score::MeanAccuracy => report.macc,
            Score::FrequencyWeightedIou => report.fwiou,
            Score::SizeMiou(group) => report.sizes[group as usize].miou,
            Score::SizeBoundaryMiou(group) => report.sizes[group as usize].boundary_miou,
        }
    }

    /// The name that files use, such as `miou` or `sizes.small.boundary_miou`.
    pub fn name(self) -> &'static str {
        match self {
            Score::Miou => "miou",
            Score::MiouWithoutOther => "miou_without_other",
            Score::BoundaryMiou => "boundary_miou",
            Score::ImageAccuracy => "image_accuracy",
            Score::FBeta => "f_beta",
            Score::AllAccuracy => "aacc",
            Score::MeanAccuracy => "macc",
            Score::FrequencyWeightedIou => "fwiou",
            Score::SizeMiou(SizeGroup::Small) => "sizes.small.miou",
            Score::SizeMiou(SizeGroup::MediumSmall) => "sizes.medium_small.miou",
            Score::SizeMiou(SizeGroup::MediumLarge) => "sizes.medium_large.miou",
            Score::SizeMiou(SizeGroup::Large) => "sizes.large.miou",
            Score::SizeBoundaryMiou(SizeGroup::Small) => "sizes.small.boundary_miou",
            Score::SizeBoundaryMiou(SizeGroup::MediumSmall) => "sizes.medium_small.boundary_miou",
            Score::SizeBoundaryMiou(SizeGroup::MediumLarge) => "sizes.medium_large.boundary_miou",
            Score::SizeBoundaryMiou(SizeGroup::Large) => "sizes.large.boundary_miou",
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
