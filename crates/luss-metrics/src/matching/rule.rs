//! What a matching makes as large as possible.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Overlap, matching::assignment::Costs};

/// What a matching makes as large as possible.
///
/// ```
/// use luss_metrics::MatchingRule;
///
/// let names = MatchingRule::ALL.map(MatchingRule::name);
/// assert_eq!(names, ["image", "pixel", "iou", "many-to-one"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchingRule {
    /// One to one: the pictures in which cluster and class occur together. The paper's (§3.2.1).
    #[serde(rename = "image")]
    ImageLevel,
    /// One to one: the pixels that cluster and class share.
    #[serde(rename = "pixel")]
    PixelOverlap,
    /// One to one: the sum of the pairs' IoUs over all pictures. With at most as many clusters as
    /// classes no one-to-one matching has a higher mIoU.
    ///
    /// IoUs are rounded to units of 2⁻³⁰ and their sum maximised in exact integers; so the best sum
    /// is missed by at most 2⁻³⁰ (10⁻⁹) for each class.
    Iou,
    /// Each cluster by itself: the class with which it shares most pixels, of equals the lowest.
    /// Several clusters may become one class; a cluster that meets no class becomes "other". With
    /// enough clusters anything scores well, so this is no score of the benchmark.
    ManyToOne,
}

impl MatchingRule {
    /// All rules.
    pub const ALL: [MatchingRule; 4] = [
        MatchingRule::ImageLevel,
        MatchingRule::PixelOverlap,
        MatchingRule::Iou,
        MatchingRule::ManyToOne,
    ];

    /// How much one unit of [`crate::Matching::total`] stands for: a picture, a pixel, or 2⁻³⁰ of
    /// IoU.
    pub fn unit(self) -> f64 {
        match self {
            MatchingRule::Iou => 1.0 / IOU_UNITS as f64,
            _ => 1.0,
        }
    }

    /// The name that files use: `image`, `pixel`, `iou`, `many-to-one`.
    pub fn name(self) -> &'static str {
        match self {
            MatchingRule::ImageLevel => "image",
            MatchingRule::PixelOverlap => "pixel",
            MatchingRule::Iou => "iou",
            MatchingRule::ManyToOne => "many-to-one",
        }
    }

    /// What each pair of a cluster (row) and a class (column) costs.
    pub(crate) fn costs(self, overlap: &Overlap) -> Result<Costs, Error> {
        Costs::of_pairs(overlap.clusters(), overlap.classes(), |visit| {
            self.for_each_weight(overlap, visit);
        })
    }

    /// Calls `visit` with the pairs that are worth something, clusters and classes from 1 on, in
    /// ascending order.
    pub(crate) fn for_each_weight(self, overlap: &Overlap, mut visit: impl FnMut(u16, u16, u64)) {
        match self {
            MatchingRule::ImageLevel => {
                let pairs = overlap.co_occurrence().pairs().iter();
                pairs.for_each(|(cluster, class, images)| visit(cluster, class, images));
            }
            MatchingRule::PixelOverlap | MatchingRule::ManyToOne => {
                let pairs = overlap.class_pairs();
                pairs.for_each(|(cluster, class, pixels)| visit(cluster, class, pixels));
            }
            MatchingRule::Iou => {
                let (truth, clusters) = (overlap.label_areas(), overlap.cluster_areas());
                for (cluster, class, n) in overlap.class_pairs() {
                    let areas = (truth[usize::from(class)], clusters[usize::from(cluster)]);
                    visit(cluster, class, iou_units(n, areas.0, areas.1));
                }
            }
        }
    }
}

impl fmt::Display for MatchingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Units in an IoU of 1.
const IOU_UNITS: u64 = 1 << 30;

/// The nearest number of units.
fn iou_units(both: u64, truth: u64, prediction: u64) -> u64 {
    let union = u128::from(truth + prediction - both);
    let scaled = u128::from(both) * u128::from(IOU_UNITS) * 2 + union;
    (scaled / (2 * union).max(1)) as u64
}
