//! Masks from TIFF files (Adobe, TIFF 6.0, 1992).

use std::io::Cursor;

use tiff::{
    ColorType, TiffError,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{FileError, MAX_PIXELS};
use crate::LabelMask;

/// How much longer the content of an LZW stream can be than the stream: a code of 12 bits stands
/// for up to 4096 bytes. Deflate does not reach it.
const MAX_RATIO: u64 = 2731;

/// The value of the tag `PhotometricInterpretation` for grey that is white at 0.
const WHITE_IS_ZERO: u16 = 0;

/// The mask of a TIFF of one page, and the largest value of its bits. Grey values are ids.
pub(super) fn mask(file: &[u8]) -> Result<(LabelMask, u16), FileError> {
    let mut decoder = open(file).map_err(decoding)?;
    let (width, height) = check(&mut decoder, file.len())?;
    let (labels, largest) = match decoder.read_image().map_err(decoding)? {
        DecodingResult::U8(ids) => (ids.into_iter().map(u16::from).collect(), u8::MAX.into()),
        DecodingResult::U16(ids) => (ids, u16::MAX),
        _ => return Err(refused("its numbers are no ids")),
    };
    let mask = LabelMask::new(width, height, labels);
    Ok((mask.map_err(|error| refused(error.to_string()))?, largest))
}

fn open(file: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, TiffError> {
    let most = (2 * MAX_PIXELS).min(MAX_RATIO * file.len() as u64) as usize;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = most;
    limits.intermediate_buffer_size = most;
    Ok(Decoder::new(Cursor::new(file))?.with_limits(limits))
}

/// Width and height of a file that is a mask, whose pixels so many bytes can hold.
fn check(decoder: &mut Decoder<Cursor<&[u8]>>, bytes: usize) -> Result<(usize, usize), FileError> {
    let (width, height) = decoder.dimensions().map_err(decoding)?;
    let bits = match decoder.colortype().map_err(decoding)? {
        ColorType::Gray(bits @ (8 | 16)) => u64::from(bits),
        other => return Err(refused(format!("its pixels are {other:?}"))),
    };
    let photometric: Option<u16> = decoder
        .find_tag_unsigned(Tag::PhotometricInterpretation)
        .map_err(decoding)?;
    if photometric == Some(WHITE_IS_ZERO) {
        return Err(refused("its grey is white at 0, so that values are no ids"));
    }
    if decoder.more_images() {
        return Err(refused("it has several pages"));
    }
    check_parts(decoder)?;
    let part = decoder.chunk_dimensions();
    for (width, height) in [(width, height), (part.0, part.1.min(height))] {
        check_size(width, height, bits, bytes)?;
    }
    Ok((width as usize, height as usize))
}

/// Refuses files without some of their strips or tiles: the library would read their pixels from the
/// beginning of the file.
fn check_parts(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<(), FileError> {
    let is_tiled = decoder.find_tag(Tag::TileOffsets).map_err(decoding)?;
    let offsets = match is_tiled.is_some() {
        true => Tag::TileOffsets,
        false => Tag::StripOffsets,
    };
    let offsets = decoder.get_tag_u64_vec(offsets).map_err(decoding)?;
    match offsets.contains(&0) {
        true => Err(refused("it leaves out strips or tiles (sparse)")),
        false => Ok(()),
    }
}

fn check_size(width: u32, height: u32, bits: u64, bytes: usize) -> Result<(), FileError> {
    if width == 0 || height == 0 {
        return Err(FileError::Empty { width, height });
    }
    let (width, height) = (u64::from(width), u64::from(height));
    match width * height {
        pixels if pixels > MAX_PIXELS => Err(FileError::TooLarge { width, height }),
        pixels if pixels * bits / 8 > MAX_RATIO * bytes as u64 => Err(FileError::TooShort {
            bytes,
            width,
            height,
        }),
        _ => Ok(()),
    }
}

fn decoding(error: TiffError) -> FileError {
    refused(error.to_string())
}

fn refused(reason: impl Into<String>) -> FileError {
    FileError::Tiff {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use tiff::encoder::{TiffEncoder, colortype};

    use super::*;
    use crate::folder::{MaskFormat, decode_mask};

    fn tiff(write: impl FnOnce(&mut TiffEncoder<Cursor<&mut Vec<u8>>>)) -> Vec<u8> {
        let mut file = Vec::new();
        write(&mut TiffEncoder::new(Cursor::new(&mut file)).unwrap());
        file
    }

    #[test]
    fn grey_of_8_and_16_bits_holds_ids() {
        let eight = tiff(|file| {
            file.write_image::<colortype::Gray8>(3, 1, &[0, 7, 255])
                .unwrap()
        });
        let (mask, format) = decode_mask(&eight).unwrap();
        assert_eq!(
            (mask.labels(), format),
            (&[0, 7, 255][..], MaskFormat::Tiff)
        );
        let sixteen = [0, 1000, 65_535, 256, 2, 1];
        let file = tiff(|file| {
            file.write_image::<colortype::Gray16>(2, 3, &sixteen)
                .unwrap()
        });
        let (mask, _) = decode_mask(&file).unwrap();
        assert_eq!((mask.size(), mask.labels()), ((2, 3), &sixteen[..]));
    }

    /// GDAL leaves out what is empty, with offset 0.
    #[test]
    fn a_sparse_file_is_refused() {
        let mut file = tiff(|file| {
            file.write_image::<colortype::Gray8>(3, 1, &[0, 7, 9])
                .unwrap()
        });
        // The entry of the tag StripOffsets: one number of 32 bits.
        let entry = [[17, 1, 4, 0], [1, 0, 0, 0]].concat();
        let at = file.windows(8).position(|bytes| bytes == entry).unwrap() + 8;
        assert_ne!(file[at..at + 4], [0; 4]);
        file[at..at + 4].fill(0);
        let message = decode_mask(&file).unwrap_err().to_string();
        assert!(message.contains("strips or tiles (sparse)"), "{message}");
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let rgb = tiff(|file| {
            file.write_image::<colortype::RGB8>(1, 1, &[1, 2, 3])
                .unwrap()
        });
        let floats = tiff(|file| {
            file.write_image::<colortype::Gray32Float>(1, 1, &[1.0])
                .unwrap()
        });
        let pages = tiff(|file| {
            file.write_image::<colortype::Gray8>(1, 1, &[1]).unwrap();
            file.write_image::<colortype::Gray8>(1, 1, &[1]).unwrap();
        });
        let whole = tiff(|file| {
            file.write_image::<colortype::Gray8>(3, 1, &[0, 7, 9])
                .unwrap()
        });
        for (file, part) in [
            (&rgb[..], "RGB(8)"),
            (&floats, "Gray(32)"),
            (&pages, "several pages"),
            (&whole[..whole.len() / 2], "not a usable TIFF mask"),
        ] {
            let message = decode_mask(file).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
