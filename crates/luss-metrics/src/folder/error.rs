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
    #[error("the PNG claims {width}x{height} pixels; both sides must be at least 1 pixel")]
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

    /// A kind of PNG that is no mask.
    #[error(
        "this is a {found} PNG, whose pixels are no ids; write 8-bit RGB (id = R + 256 G, B = 0), \
         8- or 16-bit grey, or a palette without alpha"
    )]
    Unsupported {
        /// Colour type and bit depth.
        found: String,
    },

    /// A PNG of another encoding than asked for.
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
         is this a coloured rendering instead of a mask?", rgb[2], rgb[0], rgb[1]
    )]
    Blue {
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
        /// The pixel.
        rgb: [u8; 3],
    },

    /// A PNG that breaks off or contradicts its checksums.
    #[error("the PNG is damaged or truncated: {reason}; copy or write it again")]
    Damaged {
        /// What the decoder said.
        reason: String,
    },

    /// A file that is no usable `.npy`.
    #[error(
        "not a usable .npy: {reason}; save with \
         numpy.save(path, numpy.ascontiguousarray(scores, dtype='float16'))"
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
}
