//! Objects by the attention of a ViT's class token.
//!
//! DINO (Caron et al. 2021, <https://arxiv.org/abs/2104.14294>, §4.2.2 and appendix).

use ndarray::{Array2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::{Object, components::parts_above, otsu::otsu, share};
use crate::error::{Result, at_least_one, setting};

/// Settings of the way `attention_map`, whose features are the attention of the class token to each
/// cell, a channel a head.
///
/// The attention is averaged over the heads; the cells above a threshold are foreground, and each
/// object is a connected part of them, the largest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionMap {
    /// Where the threshold lies.
    pub keep: Keep,
    /// Most objects of a picture, at least 1.
    pub objects: usize,
    /// Objects behind the first have at least this share of the cells, `0..=1`.
    pub least_share: f64,
}

/// Which cells of an attention map are foreground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The fewest that hold at least this share of the attention, above 0 and below 1; as DINO does.
    Mass(f64),
    /// Those above Otsu's threshold.
    Otsu,
}

impl Default for AttentionMap {
    fn default() -> Self {
        Self {
            keep: Keep::Mass(0.6),
            objects: 1,
            least_share: 0.01,
        }
    }
}

impl AttentionMap {
    pub(super) fn check(&self) -> Result<()> {
        if let Keep::Mass(mass) = self.keep {
            let fits = mass > 0.0 && mass < 1.0;
            setting("foreground.keep.mass", mass, fits, "above 0 and below 1")?;
        }
        at_least_one("foreground.objects", self.objects)?;
        share("foreground.least_share", self.least_share)
    }

    pub(super) fn find(&self, attention: ArrayView3<f32>) -> Vec<Object> {
        let heads = attention.len_of(Axis(2)) as f64;
        let mean = attention.map_axis(Axis(2), |cell| {
            cell.iter().map(|&value| f64::from(value)).sum::<f64>() / heads
        });
        let threshold = match self.keep {
            Keep::Mass(mass) => threshold_of_mass(&mean, mass),
            Keep::Otsu => otsu(mean.iter().copied()).map(|found| found.threshold),
        };
        threshold.map_or_else(Vec::new, |threshold| {
            parts_above(mean, threshold, self.objects, self.least_share)
        })
    }
}

/// A threshold below the fewest cells that hold at least a share of the attention, halfway to the
/// next cell. `None` where all cells are equal or would be kept.
fn threshold_of_mass(map: &Array2<f64>, mass: f64) -> Option<f64> {
    let mut values: Vec<f64> = map.iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = values.iter().sum();
    let mut held = 0.0;
    let last = values.iter().position(|value| {
        held += value;
        held >= mass * total
    })?;
    let below = values[last..].iter().find(|&&value| value < values[last])?;
    Some((values[last] + below) / 2.0)
}
