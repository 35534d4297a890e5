//! Reads JPEG files rightly or not at all: which decoder takes which file, and what a missing end
//! marker means.

use std::{io::Cursor, path::Path};

use image::{
    ImageError, ImageFormat, RgbImage,
    error::{DecodingError, ImageFormatHint},
};
use jpeg_decoder::{ColorTransform, Decoder};

use crate::{
    error::Error,
    pictures::{
        jpeg_structure::{Frame, JpegStructure},
        picture::decode,
    },
};

/// Continuations that are tried behind a file without end marker.
const CONTINUATIONS: u64 = 4;

/// Bytes of each.
const CONTINUATION: usize = 4096;

/// Who decodes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The decoder of `image`, fast and right for the files that cameras and programs write.
    Usual,
    /// `jpeg-decoder`, right for the samplings that the other one takes for others.
    Thorough,
}

/// The content of a JPEG file, `structure` its markers.
///
/// # Errors
///
/// [`Error::PictureKind`], [`Error::TruncatedPicture`] and [`Error::Picture`].
pub(crate) fn decode_jpeg(
    bytes: &[u8],
    structure: &JpegStructure,
    path: &Path,
) -> Result<RgbImage, Error> {
    let reader = reader_of(structure).map_err(|kind| Error::PictureKind {
        path: path.to_owned(),
        kind,
    })?;
    let read = |bytes: &[u8]| match reader {
        Reader::Usual => decode(bytes, ImageFormat::Jpeg).map(|picture| picture.into_rgb8()),
        Reader::Thorough => decode_thoroughly(bytes, structure),
    };
    let read = match structure.complete {
        true => read(bytes),
        false if is_whole(bytes, structure) => read(&with_end(bytes, &[])),
        false => {
            return Err(Error::TruncatedPicture {
                path: path.to_owned(),
                bytes: bytes.len() as u64,
            });
        }
    };
    read.map_err(|source| Error::Picture {
        path: path.to_owned(),
        source,
    })
}

/// The reader of a file, or what the file is if nobody reads it rightly.
///
/// `tests/jpeg.rs` holds the samplings for which each decoder agrees with Pillow.
fn reader_of(structure: &JpegStructure) -> Result<Reader, String> {
    let Some(frame) = &structure.frame else {
        return Ok(Reader::Usual); // its error tells what is wrong
    };
    if let Some(kind) = frame.unread_kind() {
        return Err(kind);
    }
    if frame.components.len() == 1 || is_usual(frame, structure) {
        return Ok(Reader::Usual);
    }
    // Of a component at half of four its blocks are counted wrongly where it has its own scans.
    let miscounted = has_half_of_four(frame, 0) || has_half_of_four(frame, 1);
    let miscounted = miscounted && structure.has_separate_scans();
    match frame.components.len() == 3 && is_integral(frame) && !miscounted {
        true => Ok(Reader::Thorough),
        false => Err(format!("a JPEG with sampling factors {}", frame.sampling())),
    }
}

/// The first component at full resolution, and the others at a part of it that is a power of two.
fn is_usual(frame: &Frame, structure: &JpegStructure) -> bool {
    let most = frame.most();
    if !frame.is_progressive() && structure.has_separate_scans() {
        return most == [1, 1];
    }
    let full = frame.components[0].factors == most;
    full && most[0] != 3 && !has_half_of_four(frame, 1) && is_integral(frame)
}

fn has_half_of_four(frame: &Frame, axis: usize) -> bool {
    let mut components = frame.components.iter();
    frame.most()[axis] == 4 && components.any(|component| component.factors[axis] == 2)
}

/// Whether each pixel of a component stands for a whole number of pixels.
fn is_integral(frame: &Frame) -> bool {
    let most = frame.most();
    let mut components = frame.components.iter();
    components.all(|component| {
        let mut axes = component.factors.into_iter().zip(most);
        axes.all(|(factor, most)| factor > 0 && most % factor == 0)
    })
}

fn decode_thoroughly(bytes: &[u8], structure: &JpegStructure) -> Result<RgbImage, ImageError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    if structure.adobe_transform == Some(0) {
        decoder.set_color_transform(ColorTransform::RGB);
    }
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        ImageError::Decoding(DecodingError::new(
            ImageFormatHint::Exact(ImageFormat::Jpeg),
            error,
        ))
    };
    let pixels = decoder.decode().map_err(|error| unreadable(error.into()))?;
    let (width, height) = structure
        .frame
        .as_ref()
        .map_or((0, 0), |frame| frame.size_px);
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| unreadable("the data is not that of the header's size".into()))
}

/// Whether a file without end marker has all its data: nothing that could follow changes a pixel.
///
/// The usual decoder paints what is missing; this one refuses data that it cannot make sense of.
fn is_whole(bytes: &[u8], structure: &JpegStructure) -> bool {
    let continued = |seed| {
        let bytes = with_end(bytes, &continuation(seed));
        Decoder::new(Cursor::new(bytes)).decode().ok()
    };
    if !structure.every_scan_has_begun() {
        return false;
    }
    let pixels = continued(1);
    pixels.is_some() && (2..=CONTINUATIONS).all(|seed| continued(seed) == pixels)
}

/// The file with this data behind its own, and an end marker. Its last byte may be the first of one.
fn with_end(bytes: &[u8], behind: &[u8]) -> Vec<u8> {
    let data = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
    [data, behind, &[0xFF, 0xD9]].concat()
}

/// Compressed data of no meaning, without a marker.
fn continuation(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 % 0xFF
    };
    (0..CONTINUATION).map(byte).collect()
}
