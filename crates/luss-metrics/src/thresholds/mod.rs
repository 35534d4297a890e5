//! The threshold of the attention: all 81 in one pass, and the rules that choose one.

mod attention_bins;
mod attention_histogram;
mod curve;
mod rule;

pub use attention_histogram::{AttentionHistogram, otsu_split};
pub use curve::{ThresholdCurve, ThresholdPoint};
pub use rule::{ChosenThreshold, LabelsUsed, ThresholdRule};
