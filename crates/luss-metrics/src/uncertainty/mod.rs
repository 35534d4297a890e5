//! How far scores are a matter of the pictures: intervals and comparisons by resampling.

mod bootstrap;
mod resampling;

pub use bootstrap::{
    Bootstrap, Comparison, Fit, Interval, Intervals, Predictions, ScoreComparison, ScoreInterval,
};
