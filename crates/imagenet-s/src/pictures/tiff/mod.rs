//! Reads TIFF files: grey, RGB, palettes, CMYK, YCbCr of JPEG, and chosen bands of any number.
//!
//! Adobe, TIFF 6.0, 1992. The library decodes strips and tiles; which samples are colours, and what
//! their values mean, is decided here, since the library drops the bands that are no colours.

mod bands;
mod bounds;
mod colours;
mod directory;
mod header;

use std::{io::Cursor, path::Path};

use image::{
    ImageError, ImageFormat,
    error::{DecodingError, ImageFormatHint},
    metadata::Orientation,
};
use tiff::{
    TiffError,
    decoder::{Decoder, Limits},
    tags::Tag,
};

use self::{bands::Bands, bounds::check_parts, directory::Entries, header::Header};
use crate::{
    error::Error,
    pictures::{decoding::Decoding, layers::Layers, picture::OddPictures, traits::Traits},
};

/// Bytes that the library takes for a value of a tag, which has one in the file at least.
const MAX_VALUE_BYTES: usize = 64;

type File<'a> = Decoder<Cursor<&'a [u8]>>;

/// Width and height in pixels of the first page, as it is stored.
pub(crate) fn tiff_size(bytes: &[u8], path: &Path) -> Result<(u32, u32), Error> {
    open(bytes)
        .and_then(|mut file| file.dimensions())
        .map_err(|error| refused(error, path))
}

/// How viewers turn the first page.
pub(crate) fn tiff_orientation(bytes: &[u8], path: &Path) -> Result<Orientation, Error> {
    open(bytes)
        .and_then(|mut file| orientation_in(&mut file))
        .map_err(|error| refused(error, path))
}

/// The first page of a TIFF file.
pub(crate) fn decode_tiff(
    bytes: &[u8],
    path: &Path,
    odd: OddPictures,
    decoding: &Decoding,
) -> Result<Layers, Error> {
    let failed = |error| refused(error, path);
    let mut file = open(bytes).map_err(failed)?;
    let header = Header::of(&mut file).map_err(failed)?;
    header.check_size(header.size, bytes, path)?;
    check_parts(&mut file, &header, bytes, path)?;
    let shown = header.shown(decoding, path, odd)?;
    let bands = Bands::read(bytes, &header).map_err(failed)?;
    let (colours, narrow) = bands.colours(&header, &shown, decoding, path)?;
    let traits = Traits {
        narrow,
        has_pages: header.has_pages,
        ..Traits::default()
    };
    Ok(Layers {
        colours,
        alpha: bands.alpha(&header, &shown, path)?,
        orientation: header.orientation,
        traits,
    })
}

fn open(bytes: &[u8]) -> Result<File<'_>, TiffError> {
    // The library makes room for as many values as a tag claims.
    let mut entries = Entries::of(bytes).into_iter().flatten();
    if entries.any(|entry| entry.bytes > bytes.len() as u64) {
        return Err(TiffError::LimitsExceeded);
    }
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_VALUE_BYTES * bytes.len();
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(limits))
}

fn refused(error: TiffError, path: &Path) -> Error {
    let path = path.to_owned();
    match error {
        TiffError::UnsupportedError(kind) => Error::PictureKind {
            path,
            kind: format!("a TIFF file of a rare kind ({kind})"),
        },
        error => Error::Picture {
            path,
            source: ImageError::Decoding(DecodingError::new(
                ImageFormatHint::Exact(ImageFormat::Tiff),
                error,
            )),
        },
    }
}

fn orientation_in(file: &mut File<'_>) -> Result<Orientation, TiffError> {
    let value: Option<u16> = file.find_tag_unsigned(Tag::Orientation)?;
    let value = value.and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?));
    Ok(value.unwrap_or(Orientation::NoTransforms))
}
