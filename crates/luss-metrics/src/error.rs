//! What can be wrong with the masks, tables and states handed to this crate.

use thiserror::Error;

/// Bad input: what was given, what is allowed, and what to do about it.
///
/// Every function that returns an `Error` leaves its `self` as it was. The crate knows no files:
/// callers add the path.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A mask's label count is not width times height.
    #[error(
        "a mask of {width}x{height} pixels needs width*height labels but {labels} were given; \
         pass one row-major label per pixel"
    )]
    LabelCount {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Labels given.
        labels: usize,
    },

    /// A mask without pixels.
    #[error("a mask of {width}x{height} pixels is empty; both sides must be at least 1 pixel")]
    EmptyMask {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },

    /// Prediction and truth differ in size.
    #[error(
        "the prediction is {}x{} pixels but the truth is {}x{} (width x height); \
         resize the prediction (nearest neighbour) to the truth's size before scoring",
        prediction.0, prediction.1, truth.0, truth.1
    )]
    SizeMismatch {
        /// Width and height of the prediction in pixels.
        prediction: (usize, usize),
        /// Width and height of the truth in pixels.
        truth: (usize, usize),
    },

    /// A predicted id that is neither "other" nor a class.
    #[error(
        "the prediction has id {id} at x={x}, y={y}, but ids run from 0 (other) to {classes}; \
         match generated clusters to classes first, or score with the right class count"
    )]
    PredictionOutOfRange {
        /// The offending id.
        id: u16,
        /// Column of its first pixel in reading order.
        x: usize,
        /// Row of its first pixel in reading order.
        y: usize,
        /// Largest allowed id.
        classes: u16,
    },

    /// A true id that is neither "other", nor a class, nor ignore.
    #[error(
        "the truth has id {id} at x={x}, y={y}, but ids run from 0 (other) to {classes}, \
         and 1000 (ignore); is this mask from a larger ImageNet-S subset?"
    )]
    TruthOutOfRange {
        /// The offending id.
        id: u16,
        /// Column of its first pixel in reading order.
        x: usize,
        /// Row of its first pixel in reading order.
        y: usize,
        /// Largest allowed id besides ignore.
        classes: u16,
    },

    /// Attention and ids differ in pixel count.
    #[error(
        "{values} attention values were given for {pixels} pixels; \
         pass one row-major value per pixel of the label mask"
    )]
    AttentionCount {
        /// Attention values given.
        values: usize,
        /// Pixels of the label mask.
        pixels: usize,
    },

    /// An attention value that cannot be compared with a threshold.
    #[error(
        "the attention is not a number at x={x}, y={y}; \
         a NaN passes every threshold, so look for the cause in the attention network"
    )]
    AttentionNotANumber {
        /// Column of the pixel.
        x: usize,
        /// Row of the pixel.
        y: usize,
    },

    /// A class count for which ids would collide with ignore, or no class at all.
    #[error("{classes} classes are not possible: between 1 and 999 are (1000 means ignore)")]
    ClassCount {
        /// Classes asked for.
        classes: u16,
    },

    /// A boundary ratio that gives no thickness.
    #[error(
        "a boundary of {ratio} times the image diagonal is not possible; \
         the ratio lies above 0 and at most at 1 (reference: 0.03)"
    )]
    BoundaryRatio {
        /// Ratio asked for.
        ratio: f64,
    },

    /// Two partial results of different settings.
    #[error("{what} with different settings cannot be merged: {ours} here, {theirs} there")]
    Unmergeable {
        /// What was to be merged.
        what: &'static str,
        /// Settings of the receiver.
        ours: String,
        /// Settings of the argument.
        theirs: String,
    },

    /// A stored state whose tables do not fit its own settings.
    #[error("the stored {what} is damaged: {found} entries where {expected} belong; recompute it")]
    DamagedState {
        /// What was to be restored.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries that the settings ask for.
        expected: usize,
    },

    /// A matching of nothing.
    #[error("no image was counted, so clusters cannot be matched to classes; add images first")]
    NoImages,

    /// A table whose sums exceed the exact range of the assignment solver.
    #[error(
        "a count of {largest} in a table of {rows}x{columns} is too large for an exact \
         assignment: count times the longer side must stay below 2^53"
    )]
    CountTooLarge {
        /// Largest count of the table.
        largest: u64,
        /// Rows of the table.
        rows: usize,
        /// Columns of the table.
        columns: usize,
    },

    /// A generated id the matching has never seen.
    #[error(
        "the mask has cluster {cluster} at x={x}, y={y}, but the matching knows 1 to {clusters}; \
         use the matching that was made for these predictions"
    )]
    UnknownCluster {
        /// The offending id.
        cluster: u16,
        /// Column of its first pixel in reading order.
        x: usize,
        /// Row of its first pixel in reading order.
        y: usize,
        /// Largest known cluster.
        clusters: u16,
    },

    /// A text that is no match file.
    #[error(
        "not a match file: {reason}; expected JSON such as {{\"0\": 0, \"1\": 24, \"2\": 23}} \
         (generated id to class id)"
    )]
    MatchFile {
        /// What is wrong with it.
        reason: String,
    },
}
