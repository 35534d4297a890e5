//! The result of an evaluation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Protocol, SizeGroup};

/// All scores of one evaluation, as ratios in `0..=1`, with the settings they hold for.
///
/// A score of nothing is `None`, never 0. What counts as 0 is a class that occurs nowhere beside
/// others that do, as [`crate::AbsentClass`] says. `Display` prints a table in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The settings of the evaluation.
    pub protocol: Protocol,
    /// Pictures scored.
    pub images: u64,
    /// mIoU: mean IoU over the labels 0 to C (1 to C unless [`Protocol::score_other`]).
    pub miou: Option<f64>,
    /// Mean IoU over the classes 1 to C.
    pub miou_without_other: Option<f64>,
    /// b-mIoU: mean IoU of the boundaries over the labels of `miou`.
    pub boundary_miou: Option<f64>,
    /// Img-Acc: share of pictures whose largest predicted class is a true class; `None` when no
    /// picture has foreground.
    pub image_accuracy: Option<f64>,
    /// F_β, β² = 0.3: mean over pictures of the foreground's F-measure; `None` when no picture has
    /// foreground.
    pub f_beta: Option<f64>,
    /// aAcc: share of the true pixels that are predicted right, as mmsegmentation prints it.
    pub aacc: Option<f64>,
    /// mAcc: mean recall of the labels that occur in the truth, as mmsegmentation prints it.
    pub macc: Option<f64>,
    /// fwIoU: mean IoU, each label weighted by its true pixels, as detectron2 prints it.
    pub fwiou: Option<f64>,
    /// The scores by object size, from S to L.
    pub sizes: [SizeScore; 4],
    /// The labels 0 to C, in this order.
    pub per_class: Vec<ClassScore>,
}

/// The scores of the objects of one size group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeScore {
    /// Which objects.
    pub group: SizeGroup,
    /// Mean IoU over those labels of `miou` that the group's truth holds; `None` when no picture has an
    /// object of this size.
    pub miou: Option<f64>,
    /// The same for boundaries.
    pub boundary_miou: Option<f64>,
    /// Classes (without "other") that have an object of this size.
    pub classes: u64,
}

/// The scores of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassScore {
    /// The label; 0 is "other".
    pub class: u16,
    /// Its IoU; `None` when it occurs in no truth and no prediction.
    pub iou: Option<f64>,
    /// The IoU of its boundaries; `None` when it has none anywhere.
    pub boundary_iou: Option<f64>,
    /// Share of its predicted pixels that are right; `None` when it is never predicted.
    pub precision: Option<f64>,
    /// Share of its true pixels that are found; `None` when it has none.
    pub recall: Option<f64>,
    /// Dice coefficient, which is the F1 score of its pixels; `None` as for `iou`.
    pub dice: Option<f64>,
    /// Pixels of the truth.
    pub truth_pixels: u64,
    /// Pixels of the prediction.
    pub prediction_pixels: u64,
    /// Pixels of both.
    pub intersection_pixels: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = self.protocol.classes;
        writeln!(f, "{} images, {classes} classes, in percent", self.images)?;
        for (name, ratio) in [
            ("mIoU", self.miou),
            ("mIoU without other", self.miou_without_other),
            ("boundary mIoU", self.boundary_miou),
            ("image accuracy", self.image_accuracy),
            ("F-measure", self.f_beta),
            ("pixel accuracy", self.aacc),
            ("mean accuracy", self.macc),
            ("fwIoU", self.fwiou),
        ] {
            writeln!(f, "{name:<20}{:>8}", percent(ratio))?;
        }
        self.write_sizes(f, "object size", |size| size.group.to_string())?;
        self.write_sizes(f, "mIoU", |size| percent(size.miou))?;
        self.write_sizes(f, "boundary mIoU", |size| percent(size.boundary_miou))
    }
}

impl Report {
    /// One row of the table by object size.
    fn write_sizes(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        cell: impl Fn(&SizeScore) -> String,
    ) -> fmt::Result {
        write!(f, "{name:<20}")?;
        self.sizes
            .iter()
            .try_for_each(|size| write!(f, "{:>8}", cell(size)))?;
        writeln!(f)
    }
}

/// A ratio in percent, a dash when there is none.
fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{:.2}", 100.0 * ratio))
}
