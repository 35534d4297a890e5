//! Everything that can be wrong with features, clusters, labels and their files.

use std::{io, path::PathBuf};

use luss_metrics::IGNORE;

/// Why clustering, label generation or one of their files failed.
///
/// Wrong ranks and disagreeing channel counts are a caller's bug and panic instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting lies outside its range.
    #[error("{name} is {value}, but it must be {allowed}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },

    /// There are fewer points than clusters.
    #[error(
        "{points} points cannot form {clusters} clusters; give at least one point for each \
         cluster or ask for fewer clusters"
    )]
    TooFewPoints {
        /// Number of points given.
        points: usize,
        /// Number of clusters asked for.
        clusters: usize,
    },

    /// A row holds a NaN or an infinity, or is too long for its length to be a finite `f32`.
    #[error(
        "{what} {row} is not finite (NaN, infinity or overflow); check the weights and the \
         picture that it was computed from"
    )]
    NotFinite {
        /// What the rows are, for example `point`.
        what: &'static str,
        /// The first such row.
        row: usize,
    },

    /// A cluster lost all its points, and the policy is to report that.
    #[error(
        "cluster {cluster} is empty after iteration {iteration} of restart {restart}; use the \
         empty-cluster policy `split`, fewer clusters or another seed"
    )]
    EmptyCluster {
        /// The first empty cluster.
        cluster: usize,
        /// Restart, from 0.
        restart: usize,
        /// Iteration of Lloyd's algorithm, from 0.
        iteration: usize,
    },

    /// There are more clusters than label ids.
    #[error(
        "{clusters} clusters do not fit the label ids 1..={max}, since {IGNORE} means ignore; \
         use at most {max} clusters", max = IGNORE - 1
    )]
    TooManyClusters {
        /// Number of clusters.
        clusters: usize,
    },

    /// An array has no rows or no columns, or its sizes contradict each other.
    #[error("{what}: {reason}")]
    Shape {
        /// What was wrong.
        what: &'static str,
        /// The sizes at fault, and what is expected.
        reason: String,
    },

    /// A label lies outside the class ids.
    #[error(
        "label {label} of {what} {row} does not belong to {classes} classes; use the class count \
         that the labels were made for"
    )]
    LabelOutOfRange {
        /// What carries the label, for example `picture`.
        what: &'static str,
        /// Its index.
        row: usize,
        /// The label.
        label: u16,
        /// Number of classes C.
        classes: u16,
    },

    /// Classification was asked for before any support embedding was added.
    #[error("the support set is empty; add labelled pictures before classifying")]
    EmptySupport,

    /// A tensor could not be read back from its device.
    #[error("cannot read {what} from the device: {reason}")]
    Device {
        /// What was being read.
        what: &'static str,
        /// The device's own words.
        reason: String,
    },

    /// The operating system refused a file operation.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted, for example `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },

    /// A `.npy` file could not be read or written.
    #[error("{path} is not a two-dimensional float32 or float64 .npy array: {reason}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// The reader's own words.
        reason: String,
    },

    /// A file does not hold rows of numbers, or not those that are needed.
    #[error("{path} does not serve as a file of rows: {reason}")]
    RowFile {
        /// The file.
        path: PathBuf,
        /// What does not fit, with numbers, and what to do.
        reason: String,
    },

    /// The file is not a label store.
    #[error("{path} is not a label store; generate the labels again or give another file")]
    NotALabelStore {
        /// The file.
        path: PathBuf,
    },

    /// The label store was written by another version of this crate.
    #[error(
        "{path} is a label store of version {found}, but this program reads version {supported}; \
         generate the labels again"
    )]
    LabelStoreVersion {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version that can be read.
        supported: u32,
    },

    /// The label store is shorter than it says, or its bytes contradict each other.
    #[error("{path} is damaged or cut short: {reason}; generate the labels again")]
    DamagedLabelStore {
        /// The file.
        path: PathBuf,
        /// What does not fit, with numbers.
        reason: String,
    },

    /// The label store holds no labels under this key.
    #[error(
        "{path} holds no labels for {key} among its {pictures} pictures; generate the labels of \
         this split again"
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key looked for.
        key: String,
        /// Number of pictures in the store.
        pictures: usize,
    },

    /// Two pictures carry the same key.
    #[error("{path}: two pictures have the key {key}; rename one of them")]
    DuplicateKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
}

/// Short for [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Refuses a setting unless it fits.
pub(crate) fn setting(
    name: &'static str,
    value: impl ToString,
    fits: bool,
    allowed: &'static str,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    let value = value.to_string();
    Err(Error::Setting {
        name,
        value,
        allowed,
    })
}

pub(crate) fn at_least_one(name: &'static str, value: usize) -> Result<()> {
    setting(name, value, value >= 1, "at least 1")
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::DamagedLabelStore {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
