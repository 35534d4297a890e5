//! Why there is no archive.

use std::{fmt, path::PathBuf};

use crate::{Split, error::Error};

/// Faults that a message spells out; the rest is counted.
const SHOWN: usize = 20;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] Error),
    /// The dataset has no such split.
    #[error(
        "{}: there is no picture in the split {}; prepare the tree with it (for the test split \
         with --test-mappings)",
        .root.display(), .split.name()
    )]
    EmptySplit {
        /// The dataset.
        root: PathBuf,
        /// The split.
        split: Split,
    },
    /// Predictions that the server would refuse or score wrongly.
    #[error("{}: {faults}", .predictions.display())]
    Predictions {
        /// The folder of predictions.
        predictions: PathBuf,
        /// All that is wrong with them.
        faults: Faults,
    },
    /// A matching that is no map from clusters to classes.
    #[error("{}: {reason}; give the match.json of the same run", .path.display())]
    Matching {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A line break where the file has one line.
    #[error("{field}: this is one line of method.txt; write it without line breaks")]
    MethodLine {
        /// The line.
        field: &'static str,
    },
    /// The archive cannot be written, or does not hold what was put in.
    #[error("{}: archive is not written: {reason}", .path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// All that is wrong with a folder of predictions, in the order of the pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(super) Vec<String>);

impl Faults {
    /// One line for each.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults; correct each:", self.0.len())?;
        for fault in self.0.iter().take(SHOWN) {
            write!(f, "\n  {fault}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
