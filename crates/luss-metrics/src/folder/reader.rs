//! Masks from files of any format.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use super::{
    ColorMap, FileError, MAX_PIXELS, MaskFormat, npy,
    png::{
        self, Scratch,
        header::{Color, Header},
    },
};
use crate::LabelMask;

/// The longest mask file that is read: what [`MAX_PIXELS`] numbers of 8 bytes take, and some room
/// for other chunks.
const MAX_FILE_BYTES: u64 = 8 * MAX_PIXELS + (1 << 24);

/// Reads a mask of any of the formats, and says which it was.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn read_mask(path: &Path) -> Result<(LabelMask, MaskFormat), FileError> {
    MaskReader::default().read(path)
}

/// As [`read_mask`], from the bytes of a file.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn decode_mask(file: &[u8]) -> Result<(LabelMask, MaskFormat), FileError> {
    MaskReader::default().decode(file)
}

/// Reads masks one after the other, with buffers that stay: for loops over many files.
///
/// ```
/// use luss_metrics::{
///     LabelMask,
///     folder::{ColorMap, MaskFormat, MaskReader, encode_indexed_mask, voc_color},
/// };
///
/// let mask = LabelMask::new(2, 1, vec![0, 1])?;
/// let file = encode_indexed_mask(&mask, &[voc_color(0), voc_color(15)]);
/// assert_eq!(MaskReader::default().decode(&file)?.0, mask); // its indices
/// let mut reader = MaskReader::of_colors(ColorMap::voc(255)).expecting(MaskFormat::Colors);
/// assert_eq!(reader.decode(&file)?.0.labels(), [0, 15]); // its colours
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MaskReader {
    expected: Option<MaskFormat>,
    values: Values,
    file: Vec<u8>,
    scratch: Scratch,
}

/// What the values of pixels mean.
#[derive(Debug, Default, Clone)]
enum Values {
    #[default]
    Ids,
    Colors(Arc<ColorMap>),
    /// Two, and these besides.
    Two(Arc<[u16]>),
}

impl Clone for MaskReader {
    /// A reader of the same masks, with buffers of its own.
    fn clone(&self) -> Self {
        Self {
            expected: self.expected,
            values: self.values.clone(),
            ..Self::default()
        }
    }
}

impl MaskReader {
    /// A reader of masks that must all have this format, or may have any if there is none.
    pub fn new(expected: Option<MaskFormat>) -> Self {
        Self::default().expecting(expected)
    }

    /// A reader to which RGB pixels are colours. It reads palettes by their colours too, if
    /// [`MaskFormat::Colors`] is expected.
    pub fn of_colors(map: ColorMap) -> Self {
        Self {
            values: Values::Colors(map.into()),
            ..Self::default()
        }
    }

    /// A reader of masks of two values (of a palette, two indices), 0 and 1 or the largest of their bits:
    /// ids 0 and 1. The ids `kept` may occur besides, and stay. Where [`MaskFormat::Rg`] is expected, pixels
    /// are ids as ever.
    pub fn of_two(kept: &[u16]) -> Self {
        Self {
            values: Values::Two(kept.into()),
            ..Self::default()
        }
    }

    /// The same reader, of masks that must all have this format, or may have any if there is none.
    pub fn expecting(self, expected: impl Into<Option<MaskFormat>>) -> Self {
        Self {
            expected: expected.into(),
            ..self
        }
    }

    /// The format of a mask, from the first bytes of its file.
    ///
    /// # Errors
    ///
    /// As [`MaskReader::read`], as far as the header shows it.
    pub fn format_of(&self, path: &Path) -> Result<MaskFormat, FileError> {
        let mut start = Vec::new();
        open(path)?
            .take(Header::BYTES as u64)
            .read_to_end(&mut start)
            .map_err(|source| io(path, source))?;
        match self.container_of(&start) {
            Container::Png => self.format_of_png(&Header::peek(&start)?),
            Container::Tiff => Ok(self.or_two(MaskFormat::Tiff)),
            Container::Npy => Ok(self.or_two(MaskFormat::Npy)),
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

    /// Decodes the bytes of a file; see [`decode_mask`].
    ///
    /// # Errors
    ///
    /// [`FileError`] with the cause and the remedy.
    pub fn decode(&mut self, file: &[u8]) -> Result<(LabelMask, MaskFormat), FileError> {
        match self.container_of(file) {
            Container::Png => self.decode_png(file),
            Container::Tiff => self.of_values(MaskFormat::Tiff, || tiff_mask(file)),
            Container::Npy => self.of_values(MaskFormat::Npy, || npy::mask(file)),
        }
    }

    /// Where a PNG is expected, everything else is a damaged one.
    fn container_of(&self, file: &[u8]) -> Container {
        match self.expected {
            None | Some(MaskFormat::Tiff | MaskFormat::Npy | MaskFormat::Binary) => {
                Container::of(file)
            }
            Some(_) => Container::Png,
        }
    }

    fn decode_png(&mut self, file: &[u8]) -> Result<(LabelMask, MaskFormat), FileError> {
        let header = Header::read(file)?;
        let format = self.format_of_png(&header)?;
        self.check_format(format)?;
        let labels = match (&self.values, format) {
            (Values::Colors(map), MaskFormat::Colors) => png::labels_of_colors(file, &header, map)?,
            (_, MaskFormat::Rg) => png::labels(file, &header, &mut self.scratch)?,
            (Values::Two(kept), _) => png::labels_of_two(file, &header, kept)?,
            _ => png::labels(file, &header, &mut self.scratch)?,
        };
        let mask = LabelMask::new(header.width, header.height, labels);
        let mask = mask.expect("a label for each pixel of the header");
        Ok((mask, format))
    }

    fn format_of_png(&self, header: &Header) -> Result<MaskFormat, FileError> {
        match (&self.values, header.color, header.bit_depth) {
            _ if self.expected == Some(MaskFormat::Rg) => header.format(),
            (Values::Colors(_), Color::Rgb | Color::Rgba, 8) => Ok(MaskFormat::Colors),
            (Values::Colors(_), Color::Palette, _) if self.expected == Some(MaskFormat::Colors) => {
                Ok(MaskFormat::Colors)
            }
            (Values::Two(_), Color::Gray | Color::Palette, _)
            | (Values::Two(_), Color::Rgb | Color::Rgba, 8)
                if self.is_any_of_two() =>
            {
                Ok(MaskFormat::Binary)
            }
            _ => header.format(),
        }
    }

    /// A mask whose values are ids, or two.
    fn of_values(
        &self,
        format: MaskFormat,
        read: impl FnOnce() -> Result<(LabelMask, u16), FileError>,
    ) -> Result<(LabelMask, MaskFormat), FileError> {
        let format = self.or_two(format);
        self.check_format(format)?;
        let (mut mask, largest) = read()?;
        if let Values::Two(kept) = &self.values {
            let width = mask.width();
            for (at, label) in mask.labels_mut().iter_mut().enumerate() {
                let value = *label;
                let (x, y) = (at % width, at / width);
                *label = png::of_two(value, largest, kept).ok_or(FileError::NotBinary {
                    x,
                    y,
                    value,
                    largest,
                })?;
            }
        }
        Ok((mask, format))
    }

    fn or_two(&self, format: MaskFormat) -> MaskFormat {
        match self.values {
            Values::Two(_) if self.is_any_of_two() => MaskFormat::Binary,
            _ => format,
        }
    }

    /// Whether masks of two values may have any encoding.
    fn is_any_of_two(&self) -> bool {
        matches!(self.expected, None | Some(MaskFormat::Binary))
    }

    fn check_format(&self, found: MaskFormat) -> Result<(), FileError> {
        match self.expected {
            Some(expected) if expected != found => Err(FileError::Format { found, expected }),
            _ => Ok(()),
        }
    }
}

/// What sort of file it is.
enum Container {
    Png,
    Tiff,
    Npy,
}

impl Container {
    /// By its first bytes; what is none of the three is told as no PNG.
    fn of(file: &[u8]) -> Self {
        match file {
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Container::Tiff,
            _ if file.starts_with(npy::MAGIC) => Container::Npy,
            _ => Container::Png,
        }
    }
}

#[cfg(feature = "tiff")]
use super::tiff::mask as tiff_mask;

#[cfg(not(feature = "tiff"))]
fn tiff_mask(_: &[u8]) -> Result<(LabelMask, u16), FileError> {
    Err(FileError::Tiff {
        reason: "this program was built without the feature `tiff`".into(),
    })
}

pub(super) fn io(path: &Path, source: std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|source| io(path, source))
}

/// Reads a whole file into `bytes`.
pub(super) fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), FileError> {
    bytes.clear();
    let read = open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(bytes)
        .map_err(|source| io(path, source))?;
    match read as u64 > MAX_FILE_BYTES {
        true => Err(FileError::TooManyBytes {
            most: MAX_FILE_BYTES,
        }),
        false => Ok(()),
    }
}
