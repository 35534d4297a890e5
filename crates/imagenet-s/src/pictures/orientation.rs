//! Which way up a picture is to be shown: the orientation that cameras write into EXIF.

use std::path::Path;

use image::{ImageFormat, metadata::Orientation};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    pictures::{jpeg_structure::JpegStructure, tiff::tiff_orientation},
};

/// What to do with the orientation in EXIF, and with that of TIFF files.
///
/// Cameras store the rows of their sensor and say how to turn them (CIPA DC-008, tag 0x0112, values 1
/// to 8); every viewer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orienting {
    /// Pictures stay as they are stored, as the published masks of ImageNet-S are drawn.
    #[default]
    Ignore,
    /// Pictures are turned and mirrored as viewers show them; their masks have the turned size.
    Apply,
}

/// How viewers turn the picture, by the headers of its file.
pub(crate) fn orientation_of_file(
    bytes: &[u8],
    format: ImageFormat,
    path: &Path,
) -> Result<Orientation, Error> {
    match format {
        ImageFormat::Jpeg => Ok(JpegStructure::of(bytes).orientation()),
        ImageFormat::Tiff => tiff_orientation(bytes, path),
        _ => Ok(orientation_of(bytes, format)),
    }
}

/// The orientation that the metadata of a PNG or WebP file names.
pub(crate) fn orientation_of(bytes: &[u8], format: ImageFormat) -> Orientation {
    let exif = match format {
        ImageFormat::Png => png_chunk(bytes, b"eXIf"),
        ImageFormat::WebP => riff_chunk(bytes, b"EXIF"),
        _ => None,
    };
    exif.map_or(Orientation::NoTransforms, orientation_in)
}

/// The same of an EXIF block, with or without the header that it has in JPEG files.
pub(crate) fn orientation_in(exif: &[u8]) -> Orientation {
    let tiff = exif.strip_prefix(EXIF_HEADER).unwrap_or(exif);
    Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms)
}

/// What precedes EXIF in a segment of a JPEG file.
pub(crate) const EXIF_HEADER: &[u8] = b"Exif\0\0";

/// Width and height of a picture of this size when it is turned.
pub(crate) fn turned_size(size: (u32, u32), orientation: Orientation) -> (u32, u32) {
    let (width, height) = size;
    match orientation.to_exif() {
        5.. => (height, width),
        _ => size,
    }
}

/// The first chunk of this kind; it may lie before or behind the pixels.
fn png_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (found, after) = after.split_first_chunk::<4>()?;
        let (data, behind) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if found == kind {
            return Some(data);
        }
        rest = behind.get(4..)?; // its sum
    }
}

/// The first chunk of this kind in a WebP file, whose chunks have even lengths.
fn riff_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (found, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (data, behind) = after.split_at_checked(length)?;
        if found == kind {
            return Some(data);
        }
        rest = behind.get(length % 2..)?;
    }
}
