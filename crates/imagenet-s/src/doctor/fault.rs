//! What can be wrong with a tree.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::Error;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// What sort of thing it is.
    pub kind: FaultKind,
    /// The file or folder it concerns.
    pub path: PathBuf,
    /// What is wrong, and after the semicolon what to do about it.
    pub message: String,
}

/// The sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The preparation was interrupted.
    Unfinished,
    /// A folder of the layout is absent.
    MissingFolder,
    /// The class list is not that of the subset, or not sorted.
    ClassList,
    /// A folder that is no class.
    UnknownClass,
    /// A class without pictures in a split.
    EmptyClass,
    /// Another number of pictures than the manifest says.
    WrongCount,
    /// A name that ImageNet does not give to pictures of this split and class.
    WrongName,
    /// A name that is no text.
    UnreadableName,
    /// A picture or mask outside the class folders.
    LooseFile,
    /// Two files with one stem.
    DuplicateStem,
    /// A link to nothing.
    DanglingLink,
    /// A file that cannot be opened or read.
    Unreadable,
    /// A file without a byte.
    EmptyFile,
    /// A JPEG that ends before its last pixel.
    TruncatedPicture,
    /// Content in no supported format, or a JPEG or TIFF file of a kind that is not read.
    PictureFormat,
    /// A picture that does not decode.
    UndecodablePicture,
    /// A CMYK or misnamed picture, where these are not accepted.
    OddPicture,
    /// A picture with more pixels than are read.
    PictureTooLarge,
    /// A picture without its mask.
    MissingMask,
    /// A mask without its picture.
    MaskWithoutPicture,
    /// A mask that does not decode.
    UndecodableMask,
    /// A PNG that is no label mask.
    MaskFormat,
    /// A mask of another size than its picture.
    MaskSize,
    /// A label that no class has.
    IdOutOfRange,
    /// A file with another sum than the list says.
    WrongChecksum,
    /// A file of the list of sums that is not there.
    MissingFile,
    /// A picture of one split that is in another one too, under whatever name: the same bytes.
    Leak,
    /// Warning: a folder of results among the pictures, which is left out.
    Results,
    /// Warning: a folder that links make part of the tree a second time.
    LinkAgain,
    /// Warning: test pictures of one subset are validation pictures of another.
    SharedBetweenSubsets,
    /// Warning: a JPEG that has all pixels and no end-of-image marker.
    MissingEnd,
    /// Warning: a picture that viewers turn, by EXIF, and that is read as it is stored.
    Orientation,
    /// Warning: a picture of 16 bits that uses less than a quarter of their range.
    NarrowRange,
    /// Warning: a mask without a pixel of its folder's class.
    ClassNotInMask,
    /// Warning: a file that nothing reads.
    StrayFile,
}

impl FaultKind {
    /// Whether training may start in spite of it.
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::Results
                | Self::LinkAgain
                | Self::SharedBetweenSubsets
                | Self::MissingEnd
                | Self::Orientation
                | Self::NarrowRange
                | Self::ClassNotInMask
                | Self::StrayFile
        )
    }

    /// The name in reports, in lower case with hyphens.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).expect("a unit variant is a text");
        name.as_str().unwrap_or_default().to_owned()
    }
}

impl Fault {
    pub(super) fn new(
        kind: FaultKind,
        path: impl Into<PathBuf>,
        message: impl Into<String>,
    ) -> Self {
        let (path, message) = (path.into(), message.into());
        Self {
            kind,
            path,
            message,
        }
    }

    /// The fault that an error of a single file stands for, with its cause.
    pub(super) fn of(error: &Error, path: impl Into<PathBuf>) -> Self {
        let mut message = error.to_string();
        if let Some(cause) = std::error::Error::source(error) {
            message = format!("{message}: {cause}");
        }
        if !message.contains(';') {
            message += "; restore the file, or correct its permissions";
        }
        Self::new(kind_of(error), path, message)
    }
}

fn kind_of(error: &Error) -> FaultKind {
    match error {
        Error::MissingFolder { .. } => FaultKind::MissingFolder,
        Error::DanglingLink { .. } => FaultKind::DanglingLink,
        Error::NameNotUtf8 { .. } => FaultKind::UnreadableName,
        Error::ClassListOrder { .. } => FaultKind::ClassList,
        Error::TruncatedPicture { .. } => FaultKind::TruncatedPicture,
        Error::EmptyFile { .. } => FaultKind::EmptyFile,
        Error::PictureFormat { .. }
        | Error::PictureKind { .. }
        | Error::Bands { .. }
        | Error::NoRange { .. } => FaultKind::PictureFormat,
        Error::Picture { .. } | Error::DecoderPanic { .. } => FaultKind::UndecodablePicture,
        Error::OddPicture { .. } => FaultKind::OddPicture,
        Error::PictureTooLarge { .. } => FaultKind::PictureTooLarge,
        Error::MaskDecode { .. } => FaultKind::UndecodableMask,
        Error::MaskFormat { .. } => FaultKind::MaskFormat,
        Error::MaskSize { .. } => FaultKind::MaskSize,
        Error::IdOutOfRange { .. } => FaultKind::IdOutOfRange,
        _ => FaultKind::Unreadable,
    }
}
