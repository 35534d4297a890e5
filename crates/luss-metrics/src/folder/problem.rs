//! What stands in the way of a score, picture by picture.

use std::{fmt, path::PathBuf};

/// One thing that is wrong with a pair of folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file it is about.
    pub path: PathBuf,
    /// What sort of thing.
    pub kind: ProblemKind,
    /// Cause and remedy.
    pub message: String,
}

/// The sorts of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A true mask without a prediction (or, if asked for, without scores).
    Missing,
    /// A prediction without a true mask.
    Extra,
    /// Two files of one name, or a name that fits several files.
    Ambiguous,
    /// Prediction and truth differ in size.
    WrongSize,
    /// A mask with an id that does not exist.
    UnknownId,
    /// A file of another mask format than the others of its folder.
    MixedFormat,
    /// A file that is no whole mask, or no usable attention map.
    Undecodable,
}

impl Problem {
    /// What is wrong with a file; the message says cause and remedy.
    pub fn new(path: impl Into<PathBuf>, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind,
            message: message.into(),
        }
    }
}

impl ProblemKind {
    /// All sorts.
    pub const ALL: [ProblemKind; 7] = [
        ProblemKind::Missing,
        ProblemKind::Extra,
        ProblemKind::Ambiguous,
        ProblemKind::WrongSize,
        ProblemKind::UnknownId,
        ProblemKind::MixedFormat,
        ProblemKind::Undecodable,
    ];

    /// The name that lists and reports use.
    pub fn name(self) -> &'static str {
        match self {
            ProblemKind::Missing => "missing",
            ProblemKind::Extra => "extra",
            ProblemKind::Ambiguous => "ambiguous",
            ProblemKind::WrongSize => "wrong_size",
            ProblemKind::UnknownId => "unknown_id",
            ProblemKind::MixedFormat => "mixed_format",
            ProblemKind::Undecodable => "undecodable",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.kind,
            self.path.display(),
            self.message
        )
    }
}
