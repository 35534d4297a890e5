//! What can go wrong while a tree is prepared.

use std::{fmt, path::PathBuf};

use super::Placing;
use crate::{Error, Split, Subset};

/// Everything that stops a preparation. Nothing that was placed before is lost: run it again once
/// the cause is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Data(#[from] Error),
    /// The archive of masks is not there.
    #[error("{}: archive of masks is missing; fetch it from {from}", .path.display())]
    ArchiveMissing {
        /// Where it was looked for.
        path: PathBuf,
        /// Its address.
        from: String,
    },
    /// An archive with another sum than the manifest's.
    #[error(
        "{}: md5 is {found}, the manifest has {expected}; fetch it again, or name its sum in a \
         manifest of your own (--manifest)",
        .path.display()
    )]
    ArchiveSum {
        /// The archive.
        path: PathBuf,
        /// Sum in the manifest.
        expected: String,
        /// Sum of the file.
        found: String,
    },
    /// An archive that cannot be unpacked.
    #[error("{}: archive cannot be unpacked: {reason}; fetch it again", .path.display())]
    ArchiveDamaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest lacks what is asked for.
    #[error("the manifest has no {what}; add it, or use the embedded one")]
    NotInManifest {
        /// Table or archive.
        what: String,
    },
    /// Two validation pictures of one name.
    #[error(
        "{} and {}: two validation pictures of one name; remove one, or point at the right folder",
        .first.display(), .second.display()
    )]
    TwoPictures {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Class folders that ImageNet should have.
    #[error(
        "{}: {count} class folders are missing or empty, the first is {first}; unpack the training \
         archive again",
        .path.display()
    )]
    MissingClasses {
        /// The folder of training pictures.
        path: PathBuf,
        /// Folders that are missing.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Pictures that a split needs and ImageNet should have.
    #[error(
        "{}: {count} pictures of the {} split of ImageNet-S{subset} are not there, the first is \
         {first}; unpack that part of ImageNet again, or correct the path",
        .path.display(), .split.name()
    )]
    MissingPictures {
        /// The folder that was searched.
        path: PathBuf,
        /// The subset.
        subset: Subset,
        /// The split.
        split: Split,
        /// Pictures that are missing.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Another number of pictures than the manifest says.
    #[error(
        "ImageNet-S{subset} would get {found} {} pictures, the manifest has {expected}; complete \
         ImageNet, or use a manifest of your own (--manifest)",
        .split.name()
    )]
    Count {
        /// The subset.
        subset: Subset,
        /// The split.
        split: Split,
        /// Pictures according to the manifest.
        expected: u64,
        /// Pictures that were found.
        found: u64,
    },
    /// A line of a mapping file.
    #[error(
        "{}: line {line} ({text:?}) is not CLASS/NAME.JPEG CLASS/NAME.JPEG; take the file from \
         the publishing repository (data/mapping)",
        .path.display()
    )]
    MappingLine {
        /// The mapping file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// Not enough room.
    #[error(
        "{}: {needed_bytes} bytes are needed and {free_bytes} are free; make room, choose another \
         output, or place links instead of copies",
        .path.display()
    )]
    NoSpace {
        /// The output folder.
        path: PathBuf,
        /// Bytes still to be written, rounded up to blocks.
        needed_bytes: u64,
        /// Bytes free for this user.
        free_bytes: u64,
    },
    /// Something else lies where a file should be.
    #[error(
        "{}: {found} is in the way of a {placing}; remove it if it is from an earlier \
         preparation, or choose another output",
        .path.display()
    )]
    InTheWay {
        /// The place.
        path: PathBuf,
        /// What lies there.
        found: &'static str,
        /// What should lie there.
        placing: Placing,
    },
    /// The output lies inside the input, or the other way round.
    #[error(
        "{}: output is part of the ImageNet tree {}; choose a folder beside it, so that no picture \
         is read as its own copy",
        .output.display(), .imagenet.display()
    )]
    OutputInside {
        /// The output.
        output: PathBuf,
        /// The folder of ImageNet.
        imagenet: PathBuf,
    },
}

impl fmt::Display for Placing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Placing::Symlink => "symbolic link",
            Placing::Hardlink => "hard link",
            Placing::Copy => "copy",
        })
    }
}
