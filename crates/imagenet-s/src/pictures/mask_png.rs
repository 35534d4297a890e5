//! Label masks on disk: 8-bit RGB PNG with `id = R + 256 G` and `B = 0`, and indexed PNG with `id = index`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use luss_metrics::{
    LabelMask,
    folder::{
        FileError, MAX_PIXELS, MaskFormat, MaskReader, Rgb, encode_indexed_mask, encode_mask,
    },
};
use whole_file::WholeFile;

use crate::{error::Error, pictures::size::most_png_pixels};

/// Reads a label mask.
///
/// # Errors
///
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::MaskDecode`] for a file that is no whole PNG, [`Error::MaskFormat`] for
/// every other kind of PNG, as a palette or a 16-bit mask would give wrong ids in silence, and
/// [`Error::PictureTooLarge`] for more than 2^27 pixels or more than the bytes of the file can hold.
pub fn read_mask(path: &Path) -> Result<LabelMask, Error> {
    decode_mask(&fs::read(path).map_err(Error::io(path))?, path)
}

/// The same for the content of a file; `path` is for messages.
///
/// # Errors
///
/// Those of [`read_mask`] but [`Error::Io`].
pub fn decode_mask(bytes: &[u8], path: &Path) -> Result<LabelMask, Error> {
    if bytes.is_empty() {
        let path = path.to_owned();
        return Err(Error::EmptyFile { path });
    }
    match MaskReader::new(Some(MaskFormat::Rg)).decode(bytes) {
        Ok((mask, _)) => Ok(mask),
        Err(error) => Err(refused(error, bytes, path)),
    }
}

/// Reads a mask that [`write_mask`] or [`write_indexed_mask`] wrote; the file tells which.
///
/// # Errors
///
/// Those of [`read_mask`].
pub fn read_written_mask(path: &Path) -> Result<LabelMask, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    match MaskReader::new(Some(MaskFormat::Palette)).decode(&bytes) {
        Ok((mask, _)) => Ok(mask),
        Err(FileError::Format { .. }) => decode_mask(&bytes, path),
        Err(_) if bytes.is_empty() => decode_mask(&bytes, path),
        Err(error) => Err(refused(error, &bytes, path)),
    }
}

/// Writes a label mask, creating the folders above it. The file appears whole or not at all.
///
/// # Errors
///
/// [`Error::Io`]; `path` is then as it was.
pub fn write_mask(path: &Path, mask: &LabelMask) -> Result<(), Error> {
    write_png(path, &encode_mask(mask))
}

/// Writes a label mask as an indexed PNG of 8 bits, which viewers show in the colours of `palette`
/// (such as `html_report::palette`): the index of a pixel is its id. The folders above
/// it are created. The file appears whole or not at all.
///
/// # Errors
///
/// [`Error::Io`]; `path` is then as it was.
///
/// # Panics
///
/// If an id of the mask has no colour, or if there are more than 256 colours.
pub fn write_indexed_mask(path: &Path, mask: &LabelMask, palette: &[Rgb]) -> Result<(), Error> {
    write_png(path, &encode_indexed_mask(mask, palette))
}

fn write_png(path: &Path, png: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = WholeFile::create(path)?;
        file.write_all(png)?;
        file.commit_unsynced()
    };
    write().map_err(Error::io(path))
}

/// Removes, below `folder`, the temporary files of masks that a killed process was writing. A folder
/// that is not there holds none.
///
/// Not while another process writes masks there.
///
/// # Errors
///
/// [`Error::Io`] when a file cannot be removed.
pub fn remove_torn_masks(folder: &Path) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_torn_masks(&path)?;
        } else if whole_file::is_temporary(&path) {
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

fn refused(error: FileError, png: &[u8], path: &Path) -> Error {
    let path = path.to_owned();
    let found = match error {
        FileError::TooLarge { width, height } => {
            return too_large(path, [width, height], MAX_PIXELS);
        }
        FileError::TooShort {
            bytes,
            width,
            height,
        } => return too_large(path, [width, height], most_png_pixels(bytes, 24)),
        FileError::Unsupported { found } => format!("a {found} PNG"),
        FileError::FewBits { bits } => format!("a {bits}-bit grey PNG"),
        FileError::Format { found, .. } => {
            let bit_depth = png[24]; // of the header, which is whole
            format!("a {bit_depth}-bit {} PNG", color_of(found))
        }
        FileError::Blue {
            x,
            y,
            rgb: [r, g, b],
        } => {
            format!("an RGB PNG with B = {b} at column {x}, row {y} (R = {r}, G = {g})")
        }
        source => return Error::MaskDecode { path, source },
    };
    Error::MaskFormat { path, found }
}

fn color_of(format: MaskFormat) -> &'static str {
    match format {
        MaskFormat::Rg => "RGB",
        MaskFormat::Palette => "palette",
        _ => "grey",
    }
}

fn too_large(path: PathBuf, side_px: [u64; 2], most: u64) -> Error {
    let side = |pixels| u32::try_from(pixels).unwrap_or(u32::MAX);
    Error::PictureTooLarge {
        path,
        picture_px: (side(side_px[0]), side(side_px[1])),
        most,
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageBuffer, Luma, Rgb, RgbImage, RgbaImage};
    use luss_metrics::folder::decode_mask as decode_any;
    use png::{ColorType, Encoder};

    use std::fs::File;

    use super::*;

    fn mask() -> LabelMask {
        LabelMask::new(3, 2, vec![0, 1, 255, 256, 919, 1000]).unwrap()
    }

    fn in_temporary_folder(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        (folder, path)
    }

    fn greys(last: u8) -> Vec<[u8; 3]> {
        (0..=last).map(|id| [id; 3]).collect()
    }

    #[track_caller]
    fn check_is_refused(png: impl Into<DynamicImage>, found: &str) {
        let (_folder, path) = in_temporary_folder("mask.png");
        png.into().save(&path).unwrap();
        let error = read_mask(&path).unwrap_err();
        assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
        assert!(error.to_string().contains("id = R + 256 G"), "{error}");
    }

    #[test]
    fn a_written_mask_reads_back() {
        let (_folder, path) = in_temporary_folder("new/folders/mask.png");
        write_mask(&path, &mask()).unwrap();
        assert_eq!(read_mask(&path).unwrap(), mask());
    }

    #[test]
    fn the_low_byte_is_red_and_the_high_byte_green() {
        let (_folder, path) = in_temporary_folder("mask.png");
        write_mask(&path, &mask()).unwrap();
        let png = image::open(&path).unwrap().into_rgb8();
        assert_eq!(png.get_pixel(2, 0), &Rgb([255, 0, 0]));
        assert_eq!(png.get_pixel(2, 1), &Rgb([232, 3, 0])); // ignore
    }

    /// Read by `image`, which turns indices into colours.
    #[test]
    fn written_masks_of_both_forms_read_back_and_others_do_not() {
        let (_folder, path) = in_temporary_folder("mask.png");
        write_mask(&path, &mask()).unwrap();
        assert_eq!(read_written_mask(&path).unwrap(), mask());
        let small = LabelMask::new(3, 1, vec![0, 7, 255]).unwrap();
        write_indexed_mask(&path, &small, &greys(255)).unwrap();
        assert_eq!(read_written_mask(&path).unwrap(), small);
        ImageBuffer::from_pixel(3, 2, Luma([1_u8]))
            .save(&path)
            .unwrap();
        let error = read_written_mask(&path).unwrap_err();
        assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
        fs::write(&path, "").unwrap();
        let error = read_written_mask(&path).unwrap_err();
        assert!(matches!(error, Error::EmptyFile { .. }), "{error}");
    }

    #[test]
    fn an_indexed_mask_is_shown_in_the_colors_of_its_ids() {
        let (_folder, path) = in_temporary_folder("new/folders/mask.png");
        let mask = LabelMask::new(3, 2, vec![0, 1, 255, 2, 2, 0]).unwrap();
        let colors: Vec<_> = (0..=255).map(|id| [id, 255 - id, 7]).collect();
        write_indexed_mask(&path, &mask, &colors).unwrap();
        let shown = image::open(&path).unwrap().into_rgb8();
        let expected = mask.labels().iter().map(|&id| colors[usize::from(id)]);
        assert!(shown.pixels().map(|pixel| pixel.0).eq(expected));
        let (found, format) = decode_any(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((found, format), (mask, MaskFormat::Palette));
    }

    #[test]
    #[should_panic(expected = "id 2 has no colour")]
    fn an_id_without_a_color_is_a_bug_of_the_caller() {
        let mask = LabelMask::new(2, 1, vec![1, 2]).unwrap();
        let _ = write_indexed_mask(Path::new("mask.png"), &mask, &greys(1));
    }

    #[test]
    fn writing_replaces_the_file_and_leaves_no_other_behind() {
        let (folder, path) = in_temporary_folder("mask.png");
        fs::write(&path, "an older mask").unwrap();
        write_mask(&path, &mask()).unwrap();
        assert_eq!(read_mask(&path).unwrap(), mask());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let (folder, path) = in_temporary_folder("mask.png");
        fs::create_dir(&path).unwrap(); // a folder cannot be replaced by a file
        assert!(matches!(write_mask(&path, &mask()), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_mask_names_its_path() {
        let error = read_mask(Path::new("nowhere/mask.png")).unwrap_err();
        assert!(error.to_string().contains("nowhere/mask.png"), "{error}");
    }

    #[test]
    fn a_truncated_mask_is_refused() {
        let (_folder, path) = in_temporary_folder("mask.png");
        write_mask(&path, &mask()).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        assert!(matches!(read_mask(&path), Err(Error::MaskDecode { .. })));
    }

    #[test]
    fn a_mask_with_blue_is_refused_and_the_pixel_named() {
        let mut png = RgbImage::new(3, 2);
        png.put_pixel(1, 1, Rgb([4, 5, 6]));
        check_is_refused(png, "B = 6 at column 1, row 1 (R = 4, G = 5)");
    }

    #[test]
    fn an_opaque_alpha_channel_is_refused() {
        check_is_refused(
            RgbaImage::from_pixel(3, 2, [1, 0, 0, 255].into()),
            "8-bit RGB-with-alpha",
        );
    }

    #[test]
    fn a_grey_mask_is_refused() {
        check_is_refused(ImageBuffer::from_pixel(3, 2, Luma([1_u8])), "8-bit grey");
        check_is_refused(ImageBuffer::from_pixel(3, 2, Luma([1_u16])), "16-bit grey");
    }

    #[test]
    fn a_16_bit_rgb_mask_is_refused() {
        check_is_refused(
            ImageBuffer::from_pixel(3, 2, Rgb([1_u16, 0, 0])),
            "16-bit RGB",
        );
    }

    #[test]
    fn a_palette_mask_is_refused() {
        let (_folder, path) = in_temporary_folder("mask.png");
        let mut encoder = Encoder::new(File::create(&path).unwrap(), 3, 2);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette([0, 0, 0, 1, 0, 0].as_slice());
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&[0, 1, 1, 0, 0, 1])
            .unwrap();
        let error = read_mask(&path).unwrap_err().to_string();
        assert!(error.contains("8-bit palette PNG"), "{error}");
    }
}
