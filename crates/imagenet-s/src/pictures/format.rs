//! The format of a picture, by its name and by its content.

use std::path::Path;

use image::ImageFormat;

use crate::{error::Error, pictures::oddity::Oddity};

/// The format a file name stands for, if it is one of a picture.
pub(crate) fn named_format(path: &Path) -> Option<ImageFormat> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" => Some(ImageFormat::Jpeg),
        "png" => Some(ImageFormat::Png),
        "webp" => Some(ImageFormat::WebP),
        "tif" | "tiff" => Some(ImageFormat::Tiff),
        "bmp" => Some(ImageFormat::Bmp),
        _ => None,
    }
}

/// The format of a content, if it is one that is read.
pub(crate) fn content_format(bytes: &[u8], path: &Path) -> Result<ImageFormat, Error> {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let path = || path.to_owned();
    match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Tiff | Bmp)) => Ok(format),
        _ if is_big_tiff(bytes) => Ok(Tiff),
        _ if bytes.is_empty() => Err(Error::EmptyFile { path: path() }),
        Ok(other) => Err(Error::PictureFormat {
            path: path(),
            content: format!("{other:?}").to_uppercase(),
        }),
        Err(_) => Err(Error::PictureFormat {
            path: path(),
            content: unknown_content(bytes).to_owned(),
        }),
    }
}

/// A TIFF file whose offsets have 64 bits.
fn is_big_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

fn unknown_content(bytes: &[u8]) -> &'static str {
    let brand = bytes
        .strip_prefix(b"\0\0\0")
        .and_then(|bytes| bytes.get(1..9));
    match str::from_utf8(bytes) {
        _ if bytes.starts_with(b"%PDF") => "PDF",
        _ if brand.is_some_and(|brand| HEIC_BRANDS.contains(&brand)) => "HEIC",
        Ok(text) if text.trim_start().starts_with('<') => "a web page or other text in tags",
        Ok(_) => "text",
        Err(_) => "of an unknown format",
    }
}

/// What phones write at the beginning of HEIC files.
const HEIC_BRANDS: [&[u8]; 5] = [
    b"ftypheic",
    b"ftypheix",
    b"ftyphevc",
    b"ftypmif1",
    b"ftypmsf1",
];

/// Refuses a name that stands for another format than the content has.
pub(crate) fn check_name(path: &Path, content: ImageFormat) -> Result<(), Error> {
    match named_format(path) {
        Some(named) if named != content => {
            let oddity = Oddity::Misnamed {
                content: format_name(content),
                extension: format_name(named),
            };
            Err(Error::OddPicture {
                path: path.to_owned(),
                oddity,
            })
        }
        _ => Ok(()),
    }
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => "another format",
    }
}
