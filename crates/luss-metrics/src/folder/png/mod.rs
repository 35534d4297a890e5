//! PNG files: their rows, and the labels that these hold.

use std::io::Cursor;

use png::{DecodeOptions, Decoder, Limits, Reader, Transformations};

use self::header::{Color, Header};
use super::{
    FileError, MaskFormat,
    colors::{ColorMap, Rgb},
};

mod encode;
mod fast;
pub(crate) mod header;

pub use encode::{encode_indexed_mask, encode_mask};
pub(crate) use fast::Scratch;

/// The labels of a PNG whose pixels, or indices, are ids, row by row.
pub(crate) fn labels(
    file: &[u8],
    header: &Header,
    scratch: &mut Scratch,
) -> Result<Vec<u16>, FileError> {
    match fast::labels(file, header, scratch) {
        Some(labels) => Ok(labels),
        None => labels_of_any(file, header),
    }
}

fn labels_of_any(file: &[u8], header: &Header) -> Result<Vec<u16>, FileError> {
    let mut labels = Vec::with_capacity(header.width * header.height);
    let is_rg = header.format()? == MaskFormat::Rg;
    Rows::open(file, header)?.for_each(|row| match is_rg {
        true => push_rg(row, header.width, &mut labels),
        false => {
            labels.extend(samples(row, header));
            Ok(())
        }
    })?;
    Ok(labels)
}

/// The labels of a PNG whose colours stand for ids.
pub(crate) fn labels_of_colors(
    file: &[u8],
    header: &Header,
    map: &ColorMap,
) -> Result<Vec<u16>, FileError> {
    let mut labels = Vec::with_capacity(header.width * header.height);
    let mut last: Option<(Rgb, u16)> = None;
    for_each_color(file, header, |rgb, x, y| {
        let id = match last {
            Some((color, id)) if color == rgb => id,
            _ => map
                .id_of(rgb)
                .ok_or(FileError::UnknownColor { x, y, rgb })?,
        };
        last = Some((rgb, id));
        labels.push(id);
        Ok(())
    })?;
    Ok(labels)
}

/// The labels of a PNG of two values, or two indices; ids of `kept` stay as they are.
pub(crate) fn labels_of_two(
    file: &[u8],
    header: &Header,
    kept: &[u16],
) -> Result<Vec<u16>, FileError> {
    let largest = ((1u32 << header.bit_depth) - 1) as u16;
    let mut labels = Vec::with_capacity(header.width * header.height);
    let mut push = |value, x, y| {
        labels.push(of_two(value, largest, kept).ok_or(FileError::NotBinary {
            x,
            y,
            value,
            largest,
        })?);
        Ok(())
    };
    if matches!(header.color, Color::Gray | Color::Palette) {
        let mut y = 0;
        Rows::open(file, header)?.for_each(|row| {
            y += 1;
            let mut row = samples(row, header).enumerate();
            row.try_for_each(|(x, value)| push(value, x, y - 1))
        })?;
        return Ok(labels);
    }
    for_each_color(file, header, |rgb, x, y| match rgb {
        [value, green, blue] if value == green && value == blue => push(value.into(), x, y),
        rgb => Err(FileError::Blue { x, y, rgb }),
    })?;
    Ok(labels)
}

/// The label of one of two values: 255 is the second in files of more bits too.
pub(crate) fn of_two(value: u16, largest: u16, kept: &[u16]) -> Option<u16> {
    match value {
        value if kept.contains(&value) => Some(value),
        0 => Some(0),
        value => (value == 1 || value == largest || value == 255).then_some(1),
    }
}

/// Calls with each pixel of an 8-bit RGB or RGBA PNG, or of a palette, and with its column and row.
pub(crate) fn for_each_color(
    file: &[u8],
    header: &Header,
    mut each: impl FnMut(Rgb, usize, usize) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let rows = Rows::open(file, header)?;
    let palette = rows.palette();
    let mut y = 0;
    rows.for_each(|row| {
        let each = |(x, color): (usize, Result<Rgb, FileError>)| each(color?, x, y);
        match header.color {
            Color::Palette => {
                let color = |index| {
                    let color = palette.get(usize::from(index)).copied();
                    color.ok_or_else(|| beyond_palette(index))
                };
                samples(row, header)
                    .map(color)
                    .enumerate()
                    .try_for_each(each)?;
            }
            Color::Rgba => {
                let pixels = row.as_chunks::<4>().0.iter().enumerate();
                let color = |(x, pixel)| (x, opaque(pixel, x, y));
                pixels.map(color).try_for_each(each)?;
            }
            _ => {
                let pixels = row.as_chunks::<3>().0.iter();
                pixels.map(|rgb| Ok(*rgb)).enumerate().try_for_each(each)?;
            }
        }
        y += 1;
        Ok(())
    })
}

fn opaque(pixel: &[u8; 4], x: usize, y: usize) -> Result<Rgb, FileError> {
    match *pixel {
        [red, green, blue, u8::MAX] => Ok([red, green, blue]),
        [.., alpha] => Err(FileError::Transparent { x, y, alpha }),
    }
}

fn beyond_palette(index: u16) -> FileError {
    damaged(format!("its palette has no colour {index}"))
}

/// The rows of a PNG, one after the other.
struct Rows<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    header: &'a Header,
}

impl<'a> Rows<'a> {
    fn open(file: &'a [u8], header: &'a Header) -> Result<Self, FileError> {
        let reader = open(file)?;
        Ok(Self { reader, header })
    }

    fn palette(&self) -> Vec<Rgb> {
        let palette = self.reader.info().palette.as_deref().unwrap_or_default();
        palette.as_chunks::<3>().0.to_vec()
    }

    /// Calls with each row, and reads what is behind the last one.
    fn for_each(
        mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        if !self.header.plain {
            let row_bytes = (self.header.pixel_bits() as usize * self.header.width).div_ceil(8);
            let mut bytes = vec![0; row_bytes * self.header.height];
            self.reader.next_frame(&mut bytes).map_err(decoding)?;
            bytes.chunks_exact(row_bytes).try_for_each(each)?;
        } else {
            while let Some(row) = self.reader.next_row().map_err(decoding)? {
                each(row.data())?;
            }
        }
        self.reader.finish().map_err(decoding)
    }
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

/// The samples of a row of one band: of 16 bits, or of 1, 2, 4 or 8, the first in the highest bits.
fn samples<'a>(row: &'a [u8], header: &Header) -> impl Iterator<Item = u16> + use<'a> {
    let (width, bits) = (header.width, usize::from(header.bit_depth));
    let sample = move |x: usize| match bits {
        16 => u16::from_be_bytes([row[2 * x], row[2 * x + 1]]),
        8 => row[x].into(),
        _ => {
            let shift = 8 - bits - bits * x % 8;
            (u16::from(row[bits * x / 8]) >> shift) & ((1 << bits) - 1)
        }
    };
    (0..width.min(8 * row.len() / bits)).map(sample)
}

fn decoding(error: png::DecodingError) -> FileError {
    damaged(error.to_string())
}

fn damaged(reason: String) -> FileError {
    FileError::Damaged { reason }
}

#[cfg(test)]
mod tests;
