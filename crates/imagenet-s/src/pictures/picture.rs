//! Reads pictures as 8-bit RGB, and refuses what it cannot read the way other tools do.

use std::{
    fs,
    io::{BufRead, Cursor, Seek},
    path::Path,
};

use image::{
    DynamicImage, ImageError, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    pictures::{
        decoding::Decoding,
        jpeg::decode_jpeg,
        jpeg_structure::{Frame, JpegStructure},
        layers::Layers,
        oddity::Oddity,
        orientation::orientation_of,
        tiff::{decode_tiff, tiff_orientation, tiff_size},
    },
};

/// Pixels that a picture may have: ten times the largest of ImageNet-S, 400 MB as RGB.
pub(crate) const MAX_PIXELS: u64 = 1 << 27;

/// Pixels that a byte of a JPEG file can stand for: a block of 64 takes at least one bit in the
/// first scan, and colour at half resolution makes that one of 512.
const MAX_PIXELS_A_BYTE: u64 = 512;

/// The same of a BMP file, whose runs of 255 pixels take two bytes.
const MAX_BMP_PIXELS_A_BYTE: u64 = 128;

/// How much longer the content of a deflate stream can be than the stream.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// What to do with odd pictures: CMYK JPEGs, and files whose content is not what the name says.
/// ImageNet has a few dozen of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OddPictures {
    /// Stop with an error that names the picture.
    #[default]
    Refuse,
    /// Decode them by content. CMYK becomes RGB as in Pillow, which the published code uses:
    /// stored inverted, without a colour profile.
    Decode,
}

/// Reads a JPEG, PNG, WebP, TIFF or BMP file as 8-bit RGB, as it is stored.
///
/// Grey becomes RGB, 16-bit samples are rounded to 8 bits, transparency is dropped, and the
/// orientation of EXIF ignored, as the masks of ImageNet-S are drawn on the stored pixels.
/// [`Decoding::read`] has the choice.
///
/// # Errors
///
/// Those of [`Decoding::read`].
pub fn read_picture(path: &Path, odd: OddPictures) -> Result<RgbImage, Error> {
    Decoding::default().read(path, odd)
}

/// The same for the content of a file; `path` is for its extension and for messages.
///
/// # Errors
///
/// Those of [`Decoding::decode`].
pub fn decode_picture(bytes: &[u8], path: &Path, odd: OddPictures) -> Result<RgbImage, Error> {
    Decoding::default().decode(bytes, path, odd)
}

/// The layers of a picture, by the content of its file.
pub(crate) fn decode_layers(
    bytes: &[u8],
    path: &Path,
    odd: OddPictures,
    decoding: &Decoding,
) -> Result<Layers, Error> {
    let format = content_format(bytes, path)?;
    if odd == OddPictures::Refuse {
        check_name(path, format)?;
    }
    match format {
        ImageFormat::Jpeg => jpeg_layers(bytes, path, odd, decoding),
        ImageFormat::Tiff => decode_tiff(bytes, path, odd, decoding),
        _ => {
            check_size(bytes, format, path)?;
            let decoded = decode(bytes, format).map_err(|source| Error::Picture {
                path: path.to_owned(),
                source,
            })?;
            Ok(Layers {
                orientation: orientation_of(bytes, format),
                ..Layers::of(decoded, decoding.stretch)
            })
        }
    }
}

fn jpeg_layers(
    bytes: &[u8],
    path: &Path,
    odd: OddPictures,
    decoding: &Decoding,
) -> Result<Layers, Error> {
    let structure = JpegStructure::of(bytes);
    check_colours(&structure, path, odd)?;
    if structure.frame.is_some() {
        check_size(bytes, ImageFormat::Jpeg, path)?;
    }
    let picture = decode_jpeg(bytes, &structure, path)?;
    let mut layers = Layers::of(picture.into(), decoding.stretch);
    layers.orientation = structure.orientation();
    layers.traits.lacks_end = !structure.complete;
    Ok(layers)
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

pub(crate) fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // The pixels themselves, up to 16 bits and four samples, and what the decoder works with.
    limits.max_alloc = Some(MAX_PIXELS * 16);
    reader.limits(limits);
    reader.decode()
}

/// Refuses what would take more memory than any picture needs, by the header alone.
fn check_size(bytes: &[u8], format: ImageFormat, path: &Path) -> Result<(), Error> {
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

/// Width and height of a picture in pixels as it is stored, from its header: nothing else is decoded
/// or checked.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Picture`].
pub fn picture_size(path: &Path) -> Result<(usize, usize), Error> {
    let reader = ImageReader::open(path).map_err(Error::io(path))?;
    let reader = reader.with_guessed_format().map_err(Error::io(path))?;
    let size = match reader.format() {
        Some(ImageFormat::Png | ImageFormat::WebP) => into_dimensions(reader, path)?,
        _ => {
            let bytes = fs::read(path).map_err(Error::io(path))?;
            stored_size(&bytes, content_format(&bytes, path)?, path)?
        }
    };
    Ok((size.0 as usize, size.1 as usize))
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

fn check_name(path: &Path, content: ImageFormat) -> Result<(), Error> {
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

fn check_colours(structure: &JpegStructure, path: &Path, odd: OddPictures) -> Result<(), Error> {
    let components = structure.frame.as_ref().map(|frame| frame.components.len());
    if odd == OddPictures::Refuse && components == Some(4) {
        return Err(Error::OddPicture {
            path: path.to_owned(),
            oddity: Oddity::Cmyk,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba, RgbaImage};
    use tempfile::TempDir;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name)
    }

    /// 7 x 5 pixels, smooth enough for a JPEG.
    fn gradient() -> RgbImage {
        RgbImage::from_fn(7, 5, |x, y| Rgb([30 * x as u8, 40 * y as u8, 90]))
    }

    fn saved(
        picture: impl Into<DynamicImage>,
        name: &str,
        format: ImageFormat,
    ) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        picture.into().save_with_format(&path, format).unwrap();
        (folder, path)
    }

    /// The file cut short by `missing` bytes.
    fn truncated(path: &Path, missing: usize) {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - missing]).unwrap();
    }

    #[track_caller]
    fn check_is_refused_or_decoded(path: &Path, mentioned: &str) -> RgbImage {
        let message = read_picture(path, OddPictures::Refuse)
            .unwrap_err()
            .to_string();
        assert!(message.contains(mentioned), "{message}");
        assert!(
            message.contains("data.odd_pictures = \"decode\""),
            "{message}"
        );
        read_picture(path, OddPictures::Decode).unwrap()
    }

    #[test]
    fn a_lossless_picture_comes_back_as_it_was() {
        for (name, format) in [("a.png", ImageFormat::Png), ("a.WEBP", ImageFormat::WebP)] {
            let (_folder, path) = saved(gradient(), name, format);
            assert_eq!(
                read_picture(&path, OddPictures::Refuse).unwrap(),
                gradient()
            );
        }
    }

    #[test]
    fn the_size_is_known_without_decoding() {
        let (_folder, path) = saved(gradient(), "misnamed.png", ImageFormat::Jpeg);
        truncated(&path, 20);
        assert_eq!(picture_size(&path).unwrap(), (7, 5));
    }

    #[test]
    fn grey_becomes_rgb() {
        let grey = ImageBuffer::from_fn(5, 3, |x, y| Luma([(40 * x + y) as u8]));
        let (_folder, path) = saved(grey, "grey.png", ImageFormat::Png);
        let picture = read_picture(&path, OddPictures::Refuse).unwrap();
        assert_eq!(picture.get_pixel(3, 2), &Rgb([122; 3]));
    }

    #[test]
    fn a_grey_jpeg_becomes_rgb() {
        let grey = ImageBuffer::from_pixel(9, 5, Luma([77_u8]));
        let (_folder, path) = saved(grey, "grey.JPEG", ImageFormat::Jpeg);
        let picture = read_picture(&path, OddPictures::Refuse).unwrap();
        assert!(
            picture
                .pixels()
                .all(|Rgb([r, g, b])| r == g && g == b && r.abs_diff(77) <= 1)
        );
    }

    #[test]
    fn the_orientation_of_exif_is_ignored() {
        let (_folder, path) = saved(gradient(), "a.jpg", ImageFormat::Jpeg);
        let plain = fs::read(&path).unwrap();
        let stored = read_picture(&path, OddPictures::Refuse).unwrap();
        // One entry of a TIFF directory: tag 0x112 (orientation), a short, "turn by 90 degrees".
        let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
        let tiff = [b"II*\0".as_slice(), &[8, 0, 0, 0], &[1, 0], &entry, &[0; 4]].concat();
        let exif = [b"Exif\0\0".as_slice(), &tiff].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        let turned = [&plain[..2], &[0xFF, 0xE1], &length, &exif, &plain[2..]].concat();
        fs::write(&path, turned).unwrap();
        assert_eq!(read_picture(&path, OddPictures::Refuse).unwrap(), stored);
        assert_eq!(stored.dimensions(), (7, 5));
        assert_eq!(picture_size(&path).unwrap(), (7, 5));
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let deep = ImageBuffer::from_pixel(3, 2, Rgb([0_u16, 257 * 100, 65535]));
        let (_folder, path) = saved(deep, "deep.png", ImageFormat::Png);
        let picture = read_picture(&path, OddPictures::Refuse).unwrap();
        assert_eq!(picture.get_pixel(2, 1), &Rgb([0, 100, 255]));
    }

    #[test]
    fn transparency_is_dropped_without_touching_the_colour() {
        let clear = RgbaImage::from_pixel(3, 2, Rgba([10, 200, 30, 0]));
        let (_folder, path) = saved(clear, "clear.png", ImageFormat::Png);
        let picture = read_picture(&path, OddPictures::Refuse).unwrap();
        assert_eq!(picture.get_pixel(0, 0), &Rgb([10, 200, 30]));
    }

    #[test]
    fn a_truncated_png_or_webp_is_refused() {
        for (name, format) in [("a.png", ImageFormat::Png), ("a.webp", ImageFormat::WebP)] {
            let (_folder, path) = saved(gradient(), name, format);
            truncated(&path, 20);
            let error = read_picture(&path, OddPictures::Refuse).unwrap_err();
            assert!(matches!(error, Error::Picture { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        let refused = |bytes: &[u8]| {
            let error = decode_picture(bytes, Path::new("a.jpg"), OddPictures::Decode);
            error.unwrap_err().to_string()
        };
        assert!(refused(b"<html>404 not found</html>").contains("but a web page"));
        assert!(refused(b"GIF89a, and more").contains("but GIF"));
        assert!(refused(b"\0\0\0\x18ftypheic\0\0\0\0\xFE").contains("but HEIC"));
        assert!(refused(b"%PDF-1.7").contains("but PDF"));
        assert!(refused(b"version https://git-lfs").contains("but text"));
        assert!(refused(&[0xFE; 9]).contains("but of an unknown format"));
        assert!(refused(b"").contains("file is empty (0 bytes)"));
    }

    #[test]
    fn content_that_is_not_what_the_name_says_is_refused_unless_asked_for() {
        let (_folder, path) = saved(gradient(), "a.JPEG", ImageFormat::Png);
        let picture = check_is_refused_or_decoded(&path, "content is PNG but the name says JPEG");
        assert_eq!(picture, gradient());
    }

    #[test]
    fn a_cmyk_jpeg_is_refused_unless_asked_for() {
        check_is_refused_or_decoded(&fixture("cmyk.jpg"), "CMYK");
        check_is_refused_or_decoded(&fixture("ycck.jpg"), "CMYK");
    }

    /// Oracle: Pillow's `convert("RGB")`, written by `tests/fixtures/cmyk_pictures.py`.
    /// The decoders round their inverse DCT and colour conversion differently, by up to 3 levels.
    #[test]
    fn a_cmyk_jpeg_has_the_colours_that_pillow_sees() {
        for name in ["cmyk", "ycck"] {
            let odd = read_picture(&fixture(&format!("{name}.jpg")), OddPictures::Decode).unwrap();
            let pillow = fixture(&format!("{name}_in_pillow.png"));
            let expected = read_picture(&pillow, OddPictures::Refuse).unwrap();
            assert_eq!(odd.dimensions(), expected.dimensions());
            let levels = odd.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b));
            assert!(levels.max() <= Some(3), "{name}");
        }
    }

    #[test]
    fn a_run_file_names_the_choice_in_lower_case() {
        assert_eq!(serde_json::to_value(OddPictures::Decode).unwrap(), "decode");
    }
}
