//! What can be wrong with a mask or an attention map on disk.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{MAX_PIXELS, MaskFormat};

/// A file that cannot be read as a mask or as an attention map: what was found and what to do.
///
/// The message says nothing of the path; [`super::Problem`] adds it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Something else under the name of a PNG.
    #[error(
        "this is {found}, not a PNG; write the mask as PNG (renaming a file does not convert it)"
    )]
    NotPng {
        /// What the first bytes look like.
        found: &'static str,
    },

    /// A PNG whose first chunk is no header.
    #[error("the PNG header is damaged: {reason}; write the mask again")]
    Header {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A side of 0 pixels.
    #[error("the file claims {width}x{height} pixels; both sides must be at least 1 pixel")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },

    /// More pixels than any mask has.
    #[error(
        "{width}x{height} pixels are more than the {MAX_PIXELS} that are read; \
         is the file damaged? if not, split the picture"
    )]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },

    /// A file too short for its size, which deflate cannot have packed so tightly.
    #[error(
        "{bytes} bytes cannot hold {width}x{height} pixels: the file is truncated or damaged; \
         copy or write it again"
    )]
    TooShort {
        /// Length of the file.
        bytes: usize,
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },

    /// A file longer than any that is read.
    #[error("the file is longer than {most} bytes; is it a mask or an attention map at all?")]
    TooManyBytes {
        /// The longest file that is read, in bytes.
        most: u64,
    },

    /// A kind of PNG that is no mask.
    #[error(
        "this is a {found} PNG, whose pixels are no ids; write 8-bit RGB (id = R + 256 G, B = 0), \
         8- or 16-bit grey, or a palette without alpha"
    )]
    Unsupported {
        /// Colour type and bit depth.
        found: String,
    },

    /// A grey PNG of less than 8 bits.
    #[error(
        "this is a {bits}-bit grey PNG, which is read as a mask of two values alone; \
         otherwise write 8- or 16-bit grey"
    )]
    FewBits {
        /// Bits of a pixel.
        bits: u8,
    },

    /// A mask of another encoding than asked for.
    #[error(
        "the mask is {found} where {expected} is expected; write all masks of a folder alike, \
         or allow any encoding"
    )]
    Format {
        /// The encoding found.
        found: MaskFormat,
        /// The encoding asked for.
        expected: MaskFormat,
    },

    /// An RGB pixel that encodes no id.
    #[error(
        "B = {} at x={x}, y={y} (R = {}, G = {}), but ids are R + 256 G with B = 0; \
         these look like colours, or like segments of COCO, whose ids are in their JSON",
         rgb[2], rgb[0], rgb[1]
    )]
    Blue {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// The pixel.
        rgb: [u8; 3],
    },

    /// A colour that stands for no id.
    #[error(
        "the colour ({}, {}, {}) at x={x}, y={y} stands for no id; read the masks with the map \
         that they were drawn with", rgb[0], rgb[1], rgb[2]
    )]
    UnknownColor {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// The pixel.
        rgb: [u8; 3],
    },

    /// A pixel of colours that lets something through.
    #[error(
        "the pixel at x={x}, y={y} is not opaque (alpha {alpha}); write the mask without alpha"
    )]
    Transparent {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// Its opacity, below the largest one.
        alpha: u8,
    },

    /// A value of a mask of two values that is a third one.
    #[error(
        "the value {value} at x={x}, y={y} is neither 0, nor 1, nor {largest}, \
         and this is read as a mask of two values"
    )]
    NotBinary {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// The value.
        value: u16,
        /// The largest value of so many bits.
        largest: u16,
    },

    /// A text that is no map of colours.
    #[error("line {line} is not `name:red,green,blue`: {reason}")]
    LabelMap {
        /// The line, counted from 1; 0 for the whole text.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// A PNG that breaks off or contradicts its checksums.
    #[error("the PNG is damaged or truncated: {reason}; copy or write it again")]
    Damaged {
        /// What the decoder said.
        reason: String,
    },

    /// A TIFF that is damaged, or no mask.
    #[error("not a usable TIFF mask: {reason}; write one page of 8- or 16-bit grey")]
    Tiff {
        /// What is wrong with it.
        reason: String,
    },

    /// A file that is no usable `.npy`.
    #[error(
        "not a usable .npy: {reason}; numpy.save(path, array) writes attention as float16, float32 \
         or float64, and masks as whole numbers, height x width"
    )]
    Npy {
        /// What is wrong with it.
        reason: String,
    },

    /// An attention that cannot be compared with a threshold.
    #[error("the score at x={x}, y={y} is NaN; look for the cause where the scores are made")]
    NotANumber {
        /// Column of the first one.
        x: usize,
        /// Row of the first one.
        y: usize,
    },

    /// A number of an array that is no id.
    #[error(
        "the array holds {value} at x={x}, y={y}, but ids run from 0 to 65535; \
         give such pixels an id that is ignored"
    )]
    NoId {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// The number.
        value: i128,
    },

    /// A JSON file that is no usable set of COCO annotations.
    #[error("{}: not usable as COCO annotations: {reason}", path.display())]
    Coco {
        /// The JSON file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// An annotation that gives no mask.
    #[error("its annotations give no mask: {reason}")]
    Annotation {
        /// What is wrong with them.
        reason: String,
    },

    /// A PNG of a panoptic annotation whose pixels are no segments.
    #[error("this is a {found} PNG; panoptic segments are 8-bit RGB, R + 256 G + 65536 B")]
    NoSegments {
        /// Colour type and bit depth.
        found: String,
    },

    /// A segment without a category.
    #[error(
        "the segment {id} at x={x}, y={y} is not in segments_info; \
         are the PNG and the JSON of one version?"
    )]
    Segment {
        /// Column of its first pixel.
        x: usize,
        /// Row of its first pixel.
        y: usize,
        /// `R + 256·G + 65536·B`.
        id: u32,
    },

    /// A list of pairs that is none.
    #[error("{}, line {line}: {reason}", path.display())]
    PairList {
        /// The list.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}
