//! Masks from PNG files.

use std::{
    fs::File,
    io::{Cursor, Read as _},
    path::Path,
};

use png::{
    BitDepth, ColorType, Compression, DecodeOptions, Decoder, Encoder, Limits, Reader,
    Transformations,
};

use super::{FileError, MaskFormat, fast_png, header::Header};
use crate::LabelMask;

/// The longest mask file that is read: what [`super::MAX_PIXELS`] of RGB take without compression,
/// and some room for other chunks.
const MAX_FILE_BYTES: u64 = 3 * super::MAX_PIXELS + (1 << 24);

/// Reads a mask of any of the formats, and says which it was.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn read_mask(path: &Path) -> Result<(LabelMask, MaskFormat), FileError> {
    MaskReader::default().read(path)
}

/// As [`read_mask`], from the bytes of a PNG file.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn decode_mask(file: &[u8]) -> Result<(LabelMask, MaskFormat), FileError> {
    MaskReader::default().decode(file)
}

/// A mask as the bytes of a PNG file in the format [`MaskFormat::Rg`].
///
/// # Panics
///
/// If a side has 2³¹ pixels or more.
pub fn encode_mask(mask: &LabelMask) -> Vec<u8> {
    let pixel = |label: &u16| {
        let [low, high] = label.to_le_bytes();
        [low, high, 0]
    };
    let rgb: Vec<u8> = mask.labels().iter().flat_map(pixel).collect();
    encode(mask, ColorType::Rgb, Vec::new(), &rgb)
}

/// A mask as the bytes of an indexed PNG of 8 bits, [`MaskFormat::Palette`]: the index is the id, and
/// `palette[id]` the colour in which viewers show it.
///
/// # Panics
///
/// If an id has no colour, if there are more than 256 colours, or if a side has 2³¹ pixels or more.
pub fn encode_indexed_mask(mask: &LabelMask, palette: &[[u8; 3]]) -> Vec<u8> {
    assert!(palette.len() <= 256, "{} colours", palette.len());
    let index = |&label: &u16| {
        assert!(
            usize::from(label) < palette.len(),
            "id {label} has no colour in a palette of {}",
            palette.len()
        );
        label as u8
    };
    let indices: Vec<u8> = mask.labels().iter().map(index).collect();
    encode(mask, ColorType::Indexed, palette.concat(), &indices)
}

fn encode(mask: &LabelMask, color: ColorType, palette: Vec<u8>, pixels: &[u8]) -> Vec<u8> {
    let side = |pixels: usize| u32::try_from(pixels).expect("a mask side fits into a PNG");
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side(mask.width()), side(mask.height()));
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    if color == ColorType::Indexed {
        encoder.set_palette(palette);
    }
    encoder.set_compression(Compression::Fast);
    let writer = encoder.write_header();
    let written = writer.and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.expect("memory takes what a mask has");
    file
}

/// Reads masks one after the other, with buffers that stay: for loops over many files.
#[derive(Debug, Default)]
pub struct MaskReader {
    expected: Option<MaskFormat>,
    file: Vec<u8>,
    scratch: fast_png::Scratch,
}

impl MaskReader {
    /// A reader of masks that must all have this format, or may have any if there is none.
    pub fn new(expected: Option<MaskFormat>) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    /// Reads a mask; see [`read_mask`].
    ///
    /// # Errors
    ///
    /// [`FileError`] with the cause and the remedy.
    pub fn read(&mut self, path: &Path) -> Result<(LabelMask, MaskFormat), FileError> {
        let mut file = std::mem::take(&mut self.file);
        let read = read_file(path, &mut file).and_then(|()| self.decode(&file));
        self.file = file;
        read
    }

    /// Decodes the bytes of a PNG file; see [`decode_mask`].
    ///
    /// # Errors
    ///
    /// [`FileError`] with the cause and the remedy.
    pub fn decode(&mut self, file: &[u8]) -> Result<(LabelMask, MaskFormat), FileError> {
        let header = Header::read(file)?;
        self.check_format(header.format)?;
        let labels = match fast_png::labels(file, &header, &mut self.scratch) {
            Some(labels) => labels,
            None => labels_of_any(file, &header)?,
        };
        let mask = LabelMask::new(header.width, header.height, labels);
        let mask = mask.map_err(|error| damaged(error.to_string()))?;
        Ok((mask, header.format))
    }

    fn check_format(&self, found: MaskFormat) -> Result<(), FileError> {
        match self.expected {
            Some(expected) if expected != found => Err(FileError::Format { found, expected }),
            _ => Ok(()),
        }
    }
}

/// The format of a mask, from the first bytes of its file.
///
/// # Errors
///
/// As [`read_mask`], as far as the header shows it.
pub fn mask_format(path: &Path) -> Result<MaskFormat, FileError> {
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let mut start = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(Header::BYTES as u64)
        .read_to_end(&mut start)
        .map_err(io)?;
    Ok(Header::peek(&start)?.format)
}

/// Reads a whole file into `bytes`.
fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), FileError> {
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    bytes.clear();
    let file = File::open(path).map_err(io)?;
    let read = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(bytes)
        .map_err(io)?;
    match read as u64 > MAX_FILE_BYTES {
        true => Err(damaged(format!(
            "a file of more than {MAX_FILE_BYTES} bytes"
        ))),
        false => Ok(()),
    }
}

/// The labels of any PNG that is a mask, row by row.
fn labels_of_any(file: &[u8], header: &Header) -> Result<Vec<u16>, FileError> {
    let mut reader = open(file)?;
    let pixels = header.width * header.height;
    let mut labels = Vec::with_capacity(pixels);
    if !header.plain {
        let row_bytes = (header.pixel_bits() as usize * header.width).div_ceil(8);
        let mut bytes = vec![0; row_bytes * header.height];
        reader.next_frame(&mut bytes).map_err(decoding)?;
        for row in bytes.chunks_exact(row_bytes) {
            push_row(row, header, &mut labels)?;
        }
    } else {
        while let Some(row) = reader.next_row().map_err(decoding)? {
            push_row(row.data(), header, &mut labels)?;
        }
    }
    reader.finish().map_err(decoding)?;
    Ok(labels)
}

fn open(file: &[u8]) -> Result<Reader<Cursor<&[u8]>>, FileError> {
    // The checksums of the chunks stay on; that of the deflate stream covers the same bytes again.
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(true);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    decoder.set_limits(Limits { bytes: 1 << 28 });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.read_info().map_err(decoding)
}

/// Adds one row of a PNG to the labels.
fn push_row(row: &[u8], header: &Header, labels: &mut Vec<u16>) -> Result<(), FileError> {
    match header.format {
        MaskFormat::Rg => return push_rg(row, header.width, labels),
        MaskFormat::Gray16 => {
            let (pixels, _) = row.as_chunks::<2>();
            labels.extend(pixels.iter().map(|id| u16::from_be_bytes(*id)));
        }
        MaskFormat::Gray8 | MaskFormat::Palette => push_packed(row, header, labels),
    }
    Ok(())
}

fn push_rg(row: &[u8], width: usize, labels: &mut Vec<u16>) -> Result<(), FileError> {
    let (pixels, _) = row.as_chunks::<3>();
    if let Some(x) = pixels.iter().position(|pixel| pixel[2] != 0) {
        let (y, rgb) = (labels.len() / width, pixels[x]);
        return Err(FileError::Blue { x, y, rgb });
    }
    labels.extend(
        pixels
            .iter()
            .map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]])),
    );
    Ok(())
}

/// Samples of 1, 2, 4 or 8 bits, the first in the highest bits.
fn push_packed(row: &[u8], header: &Header, labels: &mut Vec<u16>) {
    let bits = usize::from(header.bit_depth);
    let (in_byte, largest) = (8 / bits, (1u16 << bits) - 1);
    let sample = |x: usize| {
        let shift = 8 - bits * (x % in_byte + 1);
        (u16::from(row[x / in_byte]) >> shift) & largest
    };
    labels.extend((0..header.width.min(row.len() * in_byte)).map(sample));
}

fn decoding(error: png::DecodingError) -> FileError {
    damaged(error.to_string())
}

fn damaged(reason: String) -> FileError {
    FileError::Damaged { reason }
}

#[cfg(test)]
mod tests;
