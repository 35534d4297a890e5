//! What can be wrong with files: one variant per cause, each with the path, the numbers and what to do.

use std::{io, path::PathBuf};

use crate::{dataset::OtherFiles, pictures::oddity::Oddity};

/// Everything this crate refuses. The message names the cause and, where there is one, the remedy;
/// an underlying error is the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("{}: cannot be read or written", .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// A part of the dataset is not there.
    #[error("{}: folder is missing; {remedy}", .path.display())]
    MissingFolder {
        /// The folder that was looked for.
        path: PathBuf,
        /// What would put it there.
        remedy: &'static str,
    },
    /// A folder without a single picture.
    #[error(
        "{}: no JPEG, PNG, WebP, TIFF or BMP picture in or below this folder (left out: {others}); \
         check the path and that the archives were unpacked",
        .path.display()
    )]
    NoPictures {
        /// The folder that was searched.
        path: PathBuf,
        /// Files that were seen there.
        others: OtherFiles,
    },
    /// A pattern of names that is none.
    #[error("{pattern:?}: this is no pattern of file names; write one as *.jpg")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// A picture beside the class folders instead of in one.
    #[error(
        "{}: picture lies outside the class folders; move it into one, or open the folder with \
         Dataset::open_pictures, which needs no classes",
        .path.display()
    )]
    LoosePicture {
        /// The picture.
        path: PathBuf,
    },
    /// The root of a tree where a folder of pictures was asked for.
    #[error(
        "{}: this is the root of an ImageNet-S tree, whose masks would be taken for pictures; open \
         it with Dataset::open, or open {}",
        .path.display(),
        .train.display()
    )]
    TreeNotFolder {
        /// The root.
        path: PathBuf,
        /// Its training pictures.
        train: PathBuf,
    },
    /// Two files that would share one key.
    #[error(
        "{} and {}: two files with one stem; keys and masks go by stem, so rename one of them, or \
         move it to another folder{}",
        .first.display(),
        .second.display(),
        more_pairs(.more)
    )]
    DuplicateStem {
        /// The one that sorts first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Further such pairs below the same folder.
        more: Vec<[PathBuf; 2]>,
    },
    /// The folder of a run where one of pictures was asked for.
    #[error(
        "{}: this folder holds a run (run.toml), or is to hold one, and its results are no \
         pictures; name the folder of the pictures itself, give the run another folder (--run), or \
         rename a run.toml that is none of a run",
        .path.display()
    )]
    RunNotPictures {
        /// The folder.
        path: PathBuf,
    },
    /// A picture whose mask no step could write.
    #[error("{}: {cause}; {remedy}", .path.display())]
    UnwritableMask {
        /// The picture.
        path: PathBuf,
        /// Why its mask cannot be written.
        cause: String,
        /// What to rename or move.
        remedy: &'static str,
    },
    /// A file name that cannot become a key.
    #[error("{}: name is not valid UTF-8; rename the file", .path.display())]
    NameNotUtf8 {
        /// The file or folder.
        path: PathBuf,
    },
    /// A symbolic link to nothing.
    #[error(
        "{}: symbolic link leads nowhere (target {}); restore the target, or build the links again \
         with an absolute path",
        .path.display(),
        .target.display()
    )]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Pictures of a split that has masks lack theirs.
    #[error(
        "{}: {count} pictures have no mask there, the first is {}; unpack the mask archive again, \
         remove these pictures, or name the pictures alone (--pattern '*.jpg')",
        .folder.display(),
        .first.display()
    )]
    MissingMasks {
        /// The mask folder of the split.
        folder: PathBuf,
        /// Pictures without a mask.
        count: u64,
        /// The first such picture in sorted order.
        first: PathBuf,
    },
    /// Masks of a split lack their pictures.
    #[error(
        "{}: {count} masks have no picture, the first is {}; restore the pictures, remove these \
         masks, or let `data.pattern` (--pattern) take their pictures",
        .folder.display(),
        .first.display()
    )]
    MasksWithoutPicture {
        /// The mask folder of the split.
        folder: PathBuf,
        /// Masks without a picture.
        count: u64,
        /// The first such mask in sorted order.
        first: PathBuf,
    },
    /// A class list that is not sorted, so that ids would not follow the folder names.
    #[error(
        "{}: line {line} ({name:?}) does not sort after the line before it; list every folder name \
         once, in ascending byte order, as the class id is 1 + its rank",
        .path.display()
    )]
    ClassListOrder {
        /// The class list.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The text of the line.
        name: String,
    },
    /// A class folder that the class list does not have.
    #[error(
        "{}: folder is not one of the {classes} classes of {}; add it to the list, remove the \
         list, or remove the folder",
        .path.display(),
        .list.display()
    )]
    UnlistedClass {
        /// The class folder.
        path: PathBuf,
        /// The class list.
        list: PathBuf,
        /// Number of classes listed.
        classes: usize,
    },
    /// A number of classes whose ids would collide with the ignore label, or none.
    #[error("{}: {classes} classes; a dataset has 1 to 999, as id 1000 means ignore", .path.display())]
    ClassCount {
        /// The dataset's root.
        path: PathBuf,
        /// The number found or asked for.
        classes: usize,
    },

    /// A picture that does not decode.
    #[error("{}: picture cannot be decoded; fetch it again, or remove it", .path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// The decoder's reason.
        source: image::ImageError,
    },
    /// A picture or mask on which the decoder gives up in disorder.
    #[error(
        "{}: the decoder panicked; fetch the file again, and report it with the file",
        .path.display()
    )]
    DecoderPanic {
        /// The file.
        path: PathBuf,
    },
    /// A file without a byte.
    #[error("{}: file is empty (0 bytes); fetch it again, or remove it", .path.display())]
    EmptyFile {
        /// The picture or mask.
        path: PathBuf,
    },
    /// A JPEG that ends before its last pixel.
    #[error(
        "{}: JPEG is truncated ({bytes} bytes, no end-of-image marker, pixels are missing); fetch \
         it again, or remove it",
        .path.display()
    )]
    TruncatedPicture {
        /// The picture.
        path: PathBuf,
        /// The file's size.
        bytes: u64,
    },
    /// Content in none of the supported formats.
    #[error(
        "{}: content is neither JPEG, PNG, WebP, TIFF nor BMP but {content}; convert it to one of \
         them, or remove it",
        .path.display()
    )]
    PictureFormat {
        /// The picture.
        path: PathBuf,
        /// What the content is, as far as its first bytes tell.
        content: String,
    },
    /// A JPEG or TIFF file of a kind that no decoder here reads rightly.
    #[error(
        "{}: this is {kind}, which is not read; convert it to PNG or to an ordinary JPEG with a \
         program that reads it (`magick FILE NEW.png`)",
        .path.display()
    )]
    PictureKind {
        /// The picture.
        path: PathBuf,
        /// The kind, with its article.
        kind: String,
    },
    /// A TIFF file whose bands are no colours, or that lacks those that were chosen.
    #[error(
        "{}: this TIFF file has {bands} bands; say which one is shown as grey, or which three as red, \
         green and blue, from 1 to {bands}: data.bands = [1]",
        .path.display()
    )]
    Bands {
        /// The picture.
        path: PathBuf,
        /// Bands that it has.
        bands: u16,
    },
    /// Samples without a smallest and a largest value that pictures use.
    #[error(
        "{}: the samples of this TIFF file are signed, real or of 32 bits and more; say which values \
         are black and white: data.stretch.range = [0, 3000], or data.stretch.percentile = [2, 98]",
        .path.display()
    )]
    NoRange {
        /// The picture.
        path: PathBuf,
    },
    /// A picture of a kind that other tools read differently.
    #[error(
        "{}: {oddity}; convert it, or accept such pictures as the published code does: \
         data.odd_pictures = \"decode\"",
        .path.display()
    )]
    OddPicture {
        /// The picture.
        path: PathBuf,
        /// What is odd about it.
        oddity: Oddity,
    },

    /// A picture that would take too much memory.
    #[error(
        "{}: header claims {} x {} pixels, this file may have {most}; scale it down, fetch it \
         again, or remove it",
        .path.display(), .picture_px.0, .picture_px.1
    )]
    PictureTooLarge {
        /// The picture or mask.
        path: PathBuf,
        /// Width and height according to its header.
        picture_px: (u32, u32),
        /// Pixels that are allowed.
        most: u64,
    },

    /// A mask that is not a readable PNG.
    #[error("{}: mask is not a readable PNG", .path.display())]
    MaskDecode {
        /// The mask.
        path: PathBuf,
        /// The decoder's reason.
        source: luss_metrics::folder::FileError,
    },
    /// A PNG that is not a label mask.
    #[error(
        "{}: mask is {found}; a label mask is an 8-bit RGB PNG with id = R + 256 G and B = 0: \
         write the class id of each pixel that way (imagenet_s::write_mask)",
        .path.display()
    )]
    MaskFormat {
        /// The mask.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A mask of another size than its picture.
    #[error(
        "{}: mask is {} x {} pixels and its picture {} x {}; resize the mask to the picture \
         (nearest neighbour), or pair the right files",
        .path.display(), .mask_px.0, .mask_px.1, .picture_px.0, .picture_px.1
    )]
    MaskSize {
        /// The mask.
        path: PathBuf,
        /// Width and height of the mask.
        mask_px: (usize, usize),
        /// Width and height of the picture.
        picture_px: (usize, usize),
    },
    /// A file that is no whole pack.
    #[error("{}: this pack cannot be used: {reason}; pack again", .path.display())]
    PackFormat {
        /// The pack.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A pack without pictures that the dataset has.
    #[error(
        "{}: {count} pictures are not in this pack, the first is {}; pack again",
        .pack.display(), .first.display()
    )]
    PackLacks {
        /// The pack.
        pack: PathBuf,
        /// Pictures that it lacks; 0 for an empty pack.
        count: u64,
        /// The first such picture in sorted order.
        first: PathBuf,
    },
    /// A picture that was changed after it was packed.
    #[error(
        "{}: this picture differs from the one in {}; pack again",
        .picture.display(), .pack.display()
    )]
    PackStale {
        /// The pack.
        pack: PathBuf,
        /// The picture.
        picture: PathBuf,
    },
    /// Two processes that write one pack.
    #[error("{}: another process is packing this; wait for it", .path.display())]
    PackBusy {
        /// The pack.
        path: PathBuf,
    },
    /// A folder without a single mask.
    #[error("{}: no mask (PNG) in or below this folder; check the path", .path.display())]
    NoMasks {
        /// The folder that was searched.
        path: PathBuf,
    },
    /// A picture that only one of two annotators labelled.
    #[error(
        "{}: there is no such mask, but there is {}; compare annotators of the same pictures",
        .path.display(), .other.display()
    )]
    UnpairedMask {
        /// The mask that is missing.
        path: PathBuf,
        /// The other annotator's.
        other: PathBuf,
    },
    /// Two masks of a picture with different sizes.
    #[error(
        "{}: mask is {} x {} pixels, and {} is {} x {}; both must have the size of the picture",
        .path.display(), .mask_px.0, .mask_px.1, .other.display(), .other_px.0, .other_px.1
    )]
    UnlikeMasks {
        /// One mask.
        path: PathBuf,
        /// Its width and height.
        mask_px: (usize, usize),
        /// The other mask.
        other: PathBuf,
        /// Its width and height.
        other_px: (usize, usize),
    },
    /// A label that no class of the dataset has.
    #[error(
        "{}: mask has id {id}; allowed are 0 (other), 1 to {classes}, and 1000 (ignore): use the \
         masks of this subset, or name all its classes",
        .path.display()
    )]
    IdOutOfRange {
        /// The mask.
        path: PathBuf,
        /// The first such id in row-major order.
        id: u16,
        /// Number of classes.
        classes: u16,
    },

    /// A list of sums that `md5sum` would not read.
    #[error(
        "{}: line {line} is not of the form SUM  PATH; write the list again (`luss data doctor --record`)",
        .path.display()
    )]
    ChecksumLine {
        /// The list.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
    },

    /// A manifest that does not parse.
    #[error("{}: manifest does not parse", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: toml::de::Error,
    },

    /// A setting of the synthetic dataset that cannot be drawn.
    #[error("synthetic dataset: {problem}; choose a value inside")]
    SyntheticSetting {
        /// Name and value of the setting, and its range.
        problem: String,
    },
    /// A folder in the way of the synthetic dataset.
    #[error(
        "{}: exists and is not the synthetic dataset of these settings (compare its {marker}); \
         remove the folder, choose another one, or ask for the settings it was written with",
        .path.display()
    )]
    SyntheticExists {
        /// The root that was asked for.
        path: PathBuf,
        /// The file that holds the settings of a synthetic dataset.
        marker: &'static str,
    },

    /// The work of a loader thread panicked.
    #[error(
        "loader: item {item} panicked: {message}; this is a bug in the code that prepares items"
    )]
    WorkerPanicked {
        /// Position of the item in the list given to the loader.
        item: usize,
        /// The panic's message.
        message: String,
    },
}

/// Pairs of one stem that the message spells out beside the first; the rest is counted.
const SHOWN_PAIRS: usize = 19;

fn more_pairs(more: &[[PathBuf; 2]]) -> String {
    let line = |[first, second]: &[PathBuf; 2]| {
        format!("\n  and {} and {}", first.display(), second.display())
    };
    let shown: String = more.iter().take(SHOWN_PAIRS).map(line).collect();
    match more.len().saturating_sub(SHOWN_PAIRS) {
        0 => shown,
        rest => format!("{shown}\n  and {rest} more pairs"),
    }
}

impl Error {
    /// Wraps an operating system error with the path it concerns.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
