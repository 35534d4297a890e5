//! The first 33 bytes of a PNG, looked at before anything is decoded or allocated.

use super::super::{FileError, MaskFormat};

/// The largest mask, and picture, that is read: 2²⁷ pixels, such as 16 384 x 8 192. The largest picture of
/// ImageNet has about a tenth of that.
pub const MAX_PIXELS: u64 = 1 << 27;

/// How much longer the content of a deflate stream can be than the stream: its shortest code stands for
/// 258 bytes in 2 bits.
pub const MAX_DEFLATE_RATIO: u64 = 1032;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The colour type of a PNG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    Gray,
    Rgb,
    Palette,
    GrayAlpha,
    Rgba,
}

/// What the header of a PNG says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) bit_depth: u8,
    pub(crate) color: Color,
    /// Usual compression, usual filters, not interlaced.
    pub(crate) plain: bool,
}

impl Header {
    /// Length of the signature and the header chunk.
    pub(crate) const BYTES: usize = 33;

    /// Reads and checks the header of a PNG file.
    pub(crate) fn read(file: &[u8]) -> Result<Self, FileError> {
        let header = Self::peek(file)?;
        header.check_length(file.len())?;
        Ok(header)
    }

    /// As [`Header::read`], from the first bytes of the file alone.
    pub(crate) fn peek(file: &[u8]) -> Result<Self, FileError> {
        check_signature(file)?;
        let Some(chunk) = file.get(8..Self::BYTES) else {
            return Err(damaged("the file ends within it"));
        };
        if chunk[..8] != *b"\x00\x00\x00\x0dIHDR" {
            return Err(damaged("the first chunk is not IHDR"));
        }
        let side = |at: usize| {
            u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]])
        };
        Self::of_size(side(8), side(12), &chunk[16..21])
    }

    fn of_size(width: u32, height: u32, rest: &[u8]) -> Result<Self, FileError> {
        if width == 0 || height == 0 {
            return Err(FileError::Empty { width, height });
        }
        let (wide, high) = (u64::from(width), u64::from(height));
        if wide * high > MAX_PIXELS {
            return Err(FileError::TooLarge {
                width: wide,
                height: high,
            });
        }
        let bit_depth = rest[0];
        Ok(Self {
            width: width as usize,
            height: height as usize,
            bit_depth,
            color: Color::of(rest[1], bit_depth)?,
            plain: rest[2..5] == [0; 3],
        })
    }

    /// What the ids of a mask are in, if its colour type says it.
    pub(crate) fn format(&self) -> Result<MaskFormat, FileError> {
        match (self.color, self.bit_depth) {
            (Color::Gray, 8) => Ok(MaskFormat::Gray8),
            (Color::Gray, 16) => Ok(MaskFormat::Gray16),
            (Color::Rgb, 8) => Ok(MaskFormat::Rg),
            (Color::Palette, _) => Ok(MaskFormat::Palette),
            (Color::Gray, _) => Err(FileError::FewBits {
                bits: self.bit_depth,
            }),
            _ => Err(FileError::Unsupported { found: self.kind() }),
        }
    }

    /// Bits and colours, as messages name them.
    pub(crate) fn kind(&self) -> String {
        format!("{}-bit {}", self.bit_depth, self.color.name())
    }

    /// Bits of one pixel.
    pub(crate) fn pixel_bits(&self) -> u64 {
        let samples = match self.color {
            Color::Gray | Color::Palette => 1,
            Color::GrayAlpha => 2,
            Color::Rgb => 3,
            Color::Rgba => 4,
        };
        samples * u64::from(self.bit_depth)
    }

    /// Refuses a size that no deflate stream of this length unpacks to; so memory is bounded by
    /// the length of the file.
    fn check_length(&self, bytes: usize) -> Result<(), FileError> {
        let (width, height) = (self.width as u64, self.height as u64);
        let unpacked = (width * self.pixel_bits()).div_ceil(8) * height;
        if unpacked <= MAX_DEFLATE_RATIO * bytes as u64 {
            return Ok(());
        }
        Err(FileError::TooShort {
            bytes,
            width,
            height,
        })
    }
}

fn check_signature(file: &[u8]) -> Result<(), FileError> {
    if file.starts_with(&SIGNATURE) {
        return Ok(());
    }
    let found = match file {
        [] => "an empty file",
        [0xff, 0xd8, ..] => "a JPEG",
        [b'G', b'I', b'F', b'8', ..] => "a GIF",
        [b'B', b'M', ..] => "a BMP",
        [b'R', b'I', b'F', b'F', ..] => "a WebP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF",
        [0x93, b'N', b'U', b'M', ..] => "a .npy array",
        _ => "some other file",
    };
    Err(FileError::NotPng { found })
}

impl Color {
    fn of(code: u8, bit_depth: u8) -> Result<Self, FileError> {
        match (code, bit_depth) {
            (0, 1 | 2 | 4 | 8 | 16) => Ok(Color::Gray),
            (2, 8 | 16) => Ok(Color::Rgb),
            (3, 1 | 2 | 4 | 8) => Ok(Color::Palette),
            (4, 8 | 16) => Ok(Color::GrayAlpha),
            (6, 8 | 16) => Ok(Color::Rgba),
            (0 | 2 | 3 | 4 | 6, _) => Err(damaged("its colours do not have so many bits")),
            _ => Err(damaged("its colour type does not exist")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Color::Gray => "grey",
            Color::Rgb => "RGB",
            Color::Palette => "palette",
            Color::GrayAlpha => "grey-with-alpha",
            Color::Rgba => "RGB-with-alpha",
        }
    }
}

fn damaged(reason: &'static str) -> FileError {
    FileError::Header { reason }
}
