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
         and {ignore} (ignore); is this mask from a larger subset, or is another id ignored?"
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
        /// The id of ignored pixels.
        ignore: u16,
    },

    /// A label of a picture's counts that is no class.
    #[error(
        "the picture has label {id}, but labels run from 0 (other) to {classes}; \
         match generated clusters to classes first"
    )]
    LabelOutOfRange {
        /// The offending label.
        id: u16,
        /// Largest allowed label.
        classes: u16,
    },

    /// A view of an array whose rows do not lie one behind the other.
    #[error(
        "the labels of this array do not lie row by row in memory; \
         pass `array.as_standard_layout()`, which copies it if need be"
    )]
    ScatteredLabels,

    /// A picture with more pixels than its counts can hold.
    #[error("a picture of {pixels} pixels is too large: at most 2^32 - 1 are counted")]
    PictureTooLarge {
        /// Its pixels.
        pixels: usize,
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

    /// An attention value that is not a number, in a list of values.
    #[error("attention value {index} (counted from 0) is not a number")]
    AttentionValue {
        /// Its place in the list.
        index: usize,
    },

    /// A threshold of no attention.
    #[error("no attention was counted, so there is no threshold to choose; add pictures first")]
    NoAttention,

    /// A share that is none.
    #[error("a foreground share of {share} is not possible: it lies between 0 and 1")]
    ForegroundShare {
        /// Share asked for.
        share: f64,
    },

    /// A given threshold that is not a number.
    #[error("the fixed threshold is not a number")]
    FixedThreshold,

    /// A rule that looks at masks, without masks.
    #[error("this threshold rule compares with masks; give a curve, or choose another rule")]
    CurveNeeded,

    /// Pictures whose counts do not tell their boundaries, since the matching joins their labels.
    #[error(
        "the matching gives several clusters of one picture one class, in {} pictures, and where \
         their boundaries then run is in the masks alone; let `finish_with` read these again",
        pictures.len()
    )]
    MasksNeeded {
        /// Their numbers, in the order in which they were added, from 0.
        pictures: Vec<usize>,
    },

    /// Pictures scored again from their masks that are not those asked for.
    #[error(
        "{scored} pictures were scored from their masks, but the matching joins clusters of {joined}; \
         add each of these once"
    )]
    PicturesScored {
        /// Pictures scored.
        scored: u64,
        /// Pictures asked for.
        joined: usize,
    },

    /// A class count for which ids would collide with ignore, or no class at all.
    #[error(
        "{classes} classes are not possible with {ignore} as the id to ignore: class ids start at 1 \
         and stay below it; choose another id to ignore, at most 65535"
    )]
    ClassCount {
        /// Classes asked for.
        classes: u16,
        /// The id of ignored pixels.
        ignore: u16,
    },

    /// Predictions without any cluster.
    #[error("0 clusters are not possible: generated ids run from 1 to 65535 at most")]
    NoClusters,

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

    /// A stored count that is larger than what it is a part of.
    #[error(
        "the stored {what} is damaged: {found} where at most {allowed} is possible; recompute it"
    )]
    ImpossibleState {
        /// What was to be restored.
        what: &'static str,
        /// Count found.
        found: u64,
        /// Largest possible count.
        allowed: u64,
    },

    /// A stored table with a pair of ids that cannot be.
    #[error("the stored {what} is damaged: it holds the pair ({first}, {second}); recompute it")]
    ImpossiblePair {
        /// What was to be restored.
        what: &'static str,
        /// The cluster.
        first: u16,
        /// The class.
        second: u16,
    },

    /// A table too large for an assignment.
    #[error(
        "{rows} clusters and {columns} classes are too many for a one-to-one matching: \
         their product may be 2^28 at most; match many to one"
    )]
    TableTooLarge {
        /// Rows of the table.
        rows: usize,
        /// Columns of the table.
        columns: usize,
    },

    /// Stored counts of a picture that no picture has.
    #[error("the stored counts of a picture are damaged; recompute them from its masks")]
    DamagedCounts,

    /// A sum beyond the range of the counters.
    #[error("a count exceeds 2^62, which no pictures can lead to; a stored state is damaged")]
    CountOverflow,

    /// A matching of nothing.
    #[error("no image was counted, so clusters cannot be matched to classes; add images first")]
    NoImages,

    /// A table whose sums exceed the exact range of the assignment solver.
    #[error(
        "a count of {largest} in a table of {rows}x{columns} is too large for an exact \
         assignment: count times the longer side must stay below 2^60"
    )]
    CountTooLarge {
        /// Largest count of the table.
        largest: u64,
        /// Rows of the table.
        rows: usize,
        /// Columns of the table.
        columns: usize,
    },

    /// Predictions of different pictures.
    #[error(
        "the two predictions are not of the same pictures: they differ in the truth of picture {index} \
         (counted from 0), or one of them ends there; pass both in the same order"
    )]
    Unpaired {
        /// The first picture that differs.
        index: usize,
    },

    /// Settings under which a bootstrap says nothing.
    #[error(
        "a bootstrap of {resamples} resamples with {confidence} of them in an interval is not possible: \
         at least 1 resample, and a share between 0 and 1, are"
    )]
    BootstrapSettings {
        /// Resamples asked for.
        resamples: u32,
        /// Share asked for.
        confidence: f64,
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

    /// A generated id in a picture's counts that the matching has never seen.
    #[error(
        "the picture has cluster {cluster}, but the matching knows 1 to {clusters}; \
         use the matching that was made for these predictions"
    )]
    ClusterWithoutClass {
        /// The offending id.
        cluster: u16,
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
