//! The loss scale of float16: gradients are computed of a multiple of the loss, since many would be 0
//! in 16 bits.
//!
//! As PyTorch's GradScaler and the reference's apex: the multiple is halved when a gradient overflows,
//! whose update is left out, and doubled after a while without.

use pass_model::precision::Precision;
use serde::{Deserialize, Serialize};

use crate::training::Terms;

/// Where it starts, 2^16.
const FIRST: f64 = 65_536.0;
/// Where it stops growing, 2^24, as apex.
const LARGEST: f64 = 16_777_216.0;
/// Updates in a row after which it grows.
const PATIENCE: u64 = 2000;

/// What the loss is multiplied with in a training in float16.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossScale {
    /// A power of 2, so that dividing gradients by it rounds nothing.
    scale: f64,
    /// Updates since it last changed.
    since: u64,
    /// Updates that were left out.
    pub(crate) skipped: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self {
            scale: FIRST,
            since: 0,
            skipped: 0,
        }
    }
}

impl LossScale {
    /// The one that a precision needs, going on from a stored one.
    pub(crate) fn of(precision: Precision, stored: Option<Self>) -> Option<Self> {
        (precision == Precision::Float16).then(|| stored.unwrap_or_default())
    }

    /// What the loss is multiplied with.
    pub(crate) fn factor(&self) -> f64 {
        self.scale
    }

    /// Takes notice of an iteration whose gradients were all finite, or not.
    pub(crate) fn follow(&mut self, finite: bool) {
        if !finite {
            self.scale /= 2.0;
            self.since = 0;
            self.skipped += 1;
            return;
        }
        self.since += 1;
        if self.since == PATIENCE {
            self.scale = (2.0 * self.scale).min(LARGEST);
            self.since = 0;
        }
    }

    /// Whether gradients overflow that are not scaled up.
    pub(crate) fn is_lost(&self) -> bool {
        self.scale < 1.0
    }

    /// For the log.
    pub(crate) fn named(&self) -> Terms {
        vec![
            ("precision/loss_scale".into(), self.scale),
            ("precision/skipped_updates".into(), self.skipped as f64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale_after(iterations: impl IntoIterator<Item = bool>) -> LossScale {
        let mut scale = LossScale::default();
        iterations.into_iter().for_each(|ok| scale.follow(ok));
        scale
    }

    #[test]
    fn only_float16_needs_one() {
        assert_eq!(LossScale::of(Precision::Float32, None), None);
        let stored = scale_after([false]);
        assert_eq!(
            LossScale::of(Precision::Bfloat16, Some(stored.clone())),
            None
        );
        let float16 = |stored| LossScale::of(Precision::Float16, stored).unwrap();
        assert_eq!(float16(None).factor(), 65_536.0);
        assert_eq!(float16(Some(stored)).factor(), 32_768.0);
    }

    #[test]
    fn an_overflow_halves_it_and_2000_updates_double_it() {
        assert_eq!(scale_after([true, false, true, false]).factor(), 16_384.0);
        assert_eq!(scale_after([true; 1999]).factor(), 65_536.0);
        assert_eq!(scale_after([true; 2000]).factor(), 131_072.0);
        assert_eq!(scale_after([true; 40_000]).factor(), LARGEST);
        // An overflow begins the count anew.
        let broken = [true; 1999].into_iter().chain([false]).chain([true; 1999]);
        assert_eq!(scale_after(broken).factor(), 32_768.0);
    }

    #[test]
    fn it_is_lost_below_1() {
        assert!(!scale_after([false; 16]).is_lost());
        let lost = scale_after([false; 17]);
        assert!(lost.is_lost());
        assert_eq!(lost.skipped, 17);
    }
}
