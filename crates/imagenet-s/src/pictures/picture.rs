//! Reads pictures as 8-bit RGB, and refuses what it cannot read the way other tools do.

use std::{io::Cursor, path::Path};

use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use luss_metrics::folder::MAX_PIXELS;
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    pictures::{
        decoding::Decoding,
        format::{check_name, content_format},
        jpeg::decode_jpeg,
        jpeg_structure::JpegStructure,
        layers::Layers,
        oddity::Oddity,
        orientation::orientation_of,
        size::check_size,
        tiff::decode_tiff,
    },
};

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

pub(crate) fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // The pixels themselves, up to 16 bits and four samples, and what the decoder works with.
    limits.max_alloc = Some(MAX_PIXELS * 16);
    reader.limits(limits);
    reader.decode()
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
    use std::{fs, path::PathBuf};

    use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba, RgbaImage};
    use tempfile::TempDir;

    use super::*;
    use crate::pictures::size::stored_size_of_file;

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
        assert_eq!(stored_size_of_file(&path).unwrap(), (7, 5));
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
