//! How an attention threshold is chosen, and which labels the choice uses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AttentionHistogram, Error, ThresholdCurve};

/// How the threshold is chosen below which a pixel is "other".
///
/// ```
/// use luss_metrics::{LabelsUsed, ThresholdRule};
///
/// assert_eq!(ThresholdRule::Otsu.labels_used(), LabelsUsed::None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// The best matched mIoU of a [`ThresholdCurve`], as the published code does it.
    Validation,
    /// Otsu's threshold of the attention.
    Otsu,
    /// The lowest threshold that leaves at most this share of the pixels as foreground, in `0..=1`.
    #[serde(alias = "foreground-share")]
    ForegroundShare(f64),
    /// This threshold.
    Fixed(f32),
}

/// Which labels a number depends on. Files of earlier versions say it in a sentence, which is read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelsUsed {
    /// None.
    #[serde(
        rename = "none",
        alias = "none: Otsu's threshold of the training attention",
        alias = "none: a fixed share of foreground",
        alias = "none: given in the run file"
    )]
    None,
    /// The masks of the pictures it was chosen on.
    #[serde(
        rename = "validation masks",
        alias = "validation masks: the best mIoU of 81 thresholds"
    )]
    ValidationMasks,
}

impl fmt::Display for LabelsUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LabelsUsed::None => "none",
            LabelsUsed::ValidationMasks => "validation masks",
        })
    }
}

/// A threshold and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChosenThreshold {
    /// Pixels with an attention below this are "other".
    pub threshold: f32,
    /// How it was chosen.
    pub rule: ThresholdRule,
    /// Which labels the choice used.
    pub labels_used: LabelsUsed,
}

impl ThresholdRule {
    /// Which labels the choice uses.
    pub fn labels_used(self) -> LabelsUsed {
        match self {
            ThresholdRule::Validation => LabelsUsed::ValidationMasks,
            _ => LabelsUsed::None,
        }
    }

    /// The best threshold of a curve: the rule [`ThresholdRule::Validation`].
    ///
    /// # Errors
    ///
    /// As [`ThresholdCurve::best`].
    pub fn choose_by_masks(curve: &ThresholdCurve) -> Result<ChosenThreshold, Error> {
        let threshold = curve.best()?.threshold;
        Ok(ThresholdRule::Validation.chosen(threshold))
    }

    /// The threshold of a rule that looks at the attention alone.
    ///
    /// # Errors
    ///
    /// [`Error::CurveNeeded`] for [`ThresholdRule::Validation`], [`Error::NoAttention`] for an empty
    /// histogram, [`Error::ForegroundShare`] for a share outside of `0..=1`,
    /// [`Error::FixedThreshold`] for one that is not a number.
    pub fn choose_without_masks(
        self,
        attention: &AttentionHistogram,
    ) -> Result<ChosenThreshold, Error> {
        let threshold = match self {
            ThresholdRule::Validation => return Err(Error::CurveNeeded),
            ThresholdRule::Otsu => attention.otsu()?,
            ThresholdRule::ForegroundShare(share) => attention.threshold_of_share(share)?,
            ThresholdRule::Fixed(threshold) if threshold.is_nan() => {
                return Err(Error::FixedThreshold);
            }
            ThresholdRule::Fixed(threshold) => threshold,
        };
        Ok(self.chosen(threshold))
    }

    fn chosen(self, threshold: f32) -> ChosenThreshold {
        ChosenThreshold {
            threshold,
            rule: self,
            labels_used: self.labels_used(),
        }
    }
}

/// As command lines write it: `best`, `otsu`, `share:0.35` or a number.
impl FromStr for ThresholdRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("share:") {
            Some(share) => share_of(share).map(ThresholdRule::ForegroundShare),
            None if text == "best" => Ok(ThresholdRule::Validation),
            None if text == "otsu" => Ok(ThresholdRule::Otsu),
            None => threshold_of(text).map(ThresholdRule::Fixed),
        }
    }
}

fn share_of(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is no share between 0 and 1, such as share:0.35"))
}

fn threshold_of(text: &str) -> Result<f32, String> {
    let threshold = text
        .parse()
        .ok()
        .filter(|threshold: &f32| !threshold.is_nan());
    threshold.ok_or_else(|| format!("`{text}` is none of: a number, best, otsu, share:X"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelMask, Protocol};

    #[test]
    fn the_sentences_of_earlier_versions_are_read() {
        let read = |text: &str| serde_json::from_value::<LabelsUsed>(text.into()).unwrap();
        for sentence in [
            "none: Otsu's threshold of the training attention",
            "none: a fixed share of foreground",
            "none: given in the run file",
        ] {
            assert_eq!(read(sentence), LabelsUsed::None);
        }
        let swept = read("validation masks: the best mIoU of 81 thresholds");
        assert_eq!(swept, LabelsUsed::ValidationMasks);
    }

    #[test]
    fn rules_are_read_from_words_and_numbers() {
        let read = |text: &str| text.parse::<ThresholdRule>();
        assert_eq!(read("best"), Ok(ThresholdRule::Validation));
        assert_eq!(read("share:0.35"), Ok(ThresholdRule::ForegroundShare(0.35)));
        assert_eq!(read("0.41"), Ok(ThresholdRule::Fixed(0.41)));
        assert!(read("share:2").is_err() && read("nan").is_err());
    }

    #[test]
    fn the_choice_says_which_labels_it_used() {
        let mask = LabelMask::new(2, 1, vec![1, 0]).unwrap();
        let mut curve = ThresholdCurve::new(Protocol::new(1));
        curve.add(&mask, &[0.5, 0.0], &mask).unwrap();
        let chosen = ThresholdRule::choose_by_masks(&curve).unwrap();
        assert_eq!(
            (chosen.threshold, chosen.labels_used),
            (0.0, LabelsUsed::ValidationMasks)
        );

        let mut attention = AttentionHistogram::new();
        attention.add(&[0.1, 0.9]).unwrap();
        let choose = |rule: ThresholdRule| rule.choose_without_masks(&attention);
        let fixed = choose(ThresholdRule::Fixed(0.41)).unwrap();
        assert_eq!(
            (fixed.threshold, fixed.labels_used),
            (0.41, LabelsUsed::None)
        );
        let text = serde_json::to_string(&choose(ThresholdRule::Otsu).unwrap()).unwrap();
        assert!(
            text.contains(r#""rule":"otsu","labels_used":"none""#),
            "{text}"
        );
        assert_eq!(choose(ThresholdRule::Validation), Err(Error::CurveNeeded));
        assert_eq!(
            choose(ThresholdRule::Fixed(f32::NAN)),
            Err(Error::FixedThreshold)
        );
    }
}
