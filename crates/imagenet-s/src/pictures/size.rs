//! Widths and heights by the headers of files, and what a file may make of the memory.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Cursor, Seek},
    path::Path,
};

use image::{ImageFormat, ImageReader};
use luss_metrics::folder::{MAX_DEFLATE_RATIO, MAX_PIXELS};

use crate::{
    error::Error,
    pictures::{format::content_format, jpeg_structure::Frame, tiff::tiff_size},
};

/// Pixels that a byte of a JPEG file can stand for: a block of 64 takes at least one bit in the
/// first scan, and colour at half resolution makes that one of 512.
const MAX_PIXELS_A_BYTE: u64 = 512;

/// The same of a BMP file, whose runs of 255 pixels take two bytes.
const MAX_BMP_PIXELS_A_BYTE: u64 = 128;

/// Refuses what would take more memory than any picture needs, by the header alone.
pub(crate) fn check_size(bytes: &[u8], format: ImageFormat, path: &Path) -> Result<(), Error> {
    let (width, height) = stored_size(bytes, format, path)?;
    let pixels = u64::from(width) * u64::from(height);
    let most = match format {
        ImageFormat::Jpeg => MAX_PIXELS.min(MAX_PIXELS_A_BYTE * bytes.len() as u64),
        ImageFormat::Png => most_png_pixels(bytes.len(), png_pixel_bits(bytes)),
        ImageFormat::Bmp => MAX_PIXELS.min(MAX_BMP_PIXELS_A_BYTE * bytes.len() as u64),
        _ => MAX_PIXELS,
    };
    if pixels <= most {
        return Ok(());
    }
    Err(Error::PictureTooLarge {
        path: path.to_owned(),
        picture_px: (width, height),
        most,
    })
}

/// Pixels that a PNG file of so many bytes can hold, up to [`MAX_PIXELS`].
pub(crate) fn most_png_pixels(bytes: usize, pixel_bits: u64) -> u64 {
    MAX_PIXELS.min(bytes as u64 * MAX_DEFLATE_RATIO * 8 / pixel_bits)
}

/// Bits of a pixel by the header: at least 1, and 1 for a header that the decoder will refuse.
fn png_pixel_bits(bytes: &[u8]) -> u64 {
    let Some(&[depth, color]) = bytes.get(24..26).and_then(|field| field.first_chunk()) else {
        return 1;
    };
    let samples = match color {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    (u64::from(depth) * samples).max(1)
}

/// Width and height in pixels as they are stored, by the header of a file: of PNG, WebP and BMP files
/// nothing else is read.
///
/// # Errors
///
/// [`Error::Io`], and a header that cannot be read.
pub(crate) fn stored_size_of_file(path: &Path) -> Result<(u32, u32), Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let reader = ImageReader::new(BufReader::new(file));
    let reader = reader.with_guessed_format().map_err(Error::io(path))?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp) => {
            into_dimensions(reader, path)
        }
        _ => {
            let bytes = fs::read(path).map_err(Error::io(path))?;
            stored_size(&bytes, content_format(&bytes, path)?, path)
        }
    }
}

/// Width and height in pixels as they are stored, by the headers of a file.
pub(crate) fn stored_size(
    bytes: &[u8],
    format: ImageFormat,
    path: &Path,
) -> Result<(u32, u32), Error> {
    if format == ImageFormat::Tiff {
        return tiff_size(bytes, path);
    }
    // The decoder of `image` refuses the header of some files that the other one reads.
    let frame = (format == ImageFormat::Jpeg).then(|| Frame::first_of(bytes));
    match frame.flatten() {
        Some(frame) => Ok(frame.size_px),
        None => into_dimensions(ImageReader::with_format(Cursor::new(bytes), format), path),
    }
}

fn into_dimensions<R: BufRead + Seek>(
    reader: ImageReader<R>,
    path: &Path,
) -> Result<(u32, u32), Error> {
    reader.into_dimensions().map_err(|source| Error::Picture {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn size_of(name: &str, bytes: &[u8]) -> Result<(u32, u32), Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        stored_size_of_file(&path)
    }

    /// A PNG file is read as far as the header of its pixels.
    #[test]
    fn the_size_is_known_from_the_header() {
        let picture = RgbImage::from_pixel(37, 25, image::Rgb([9, 80, 200]));
        for (name, format, header) in [
            ("misnamed.jpg", ImageFormat::Png, 41),
            ("a.webp", ImageFormat::WebP, 30),
            ("a.bmp", ImageFormat::Bmp, 54),
            ("misnamed.png", ImageFormat::Jpeg, 300),
        ] {
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, format).unwrap();
            let size = size_of(name, &bytes.get_ref()[..header]);
            assert_eq!(size.unwrap(), (37, 25), "{name}");
        }
    }

    #[test]
    fn what_is_no_picture_is_told_by_its_content() {
        let text = size_of("a.png", b"version https://git-lfs").unwrap_err();
        assert!(matches!(text, Error::PictureFormat { .. }), "{text}");
        let nothing = size_of("a.png", b"").unwrap_err();
        assert!(matches!(nothing, Error::EmptyFile { .. }), "{nothing}");
    }
}
