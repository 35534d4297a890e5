//! Reads TIFF files: grey, RGB, palettes, CMYK, YCbCr of JPEG, and chosen bands of any number.
//!
//! Adobe, TIFF 6.0, 1992. The library decodes strips and tiles; which samples are colours, and what
//! their values mean, is decided here, since the library drops the bands that are no colours.

use std::{io::Cursor, path::Path};

use image::{
    ImageError, ImageFormat, Rgb, RgbImage,
    error::{DecodingError, ImageFormatHint},
    metadata::Orientation,
};
use tiff::{
    TiffError,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};

use crate::{
    error::Error,
    pictures::{
        decoding::Decoding,
        jpeg_structure::Frame,
        layers::{Alpha, Layers, narrow_range},
        oddity::Oddity,
        picture::{MAX_PIXELS, OddPictures},
        stretch::to_byte,
        traits::Traits,
    },
};

/// How much longer the content of an LZW stream can be than the stream: a code of 12 bits stands for
/// up to 4096 bytes. Deflate and JPEG do not reach it.
const MAX_RATIO: u64 = 2731;

/// Bytes that the library takes for a value of a tag, which has one in the file at least.
const MAX_VALUE_BYTES: usize = 64;

/// Values of the tag `PhotometricInterpretation`.
mod photometric {
    pub(super) const WHITE_IS_ZERO: u16 = 0;
    pub(super) const BLACK_IS_ZERO: u16 = 1;
    pub(super) const RGB: u16 = 2;
    pub(super) const PALETTE: u16 = 3;
    pub(super) const CMYK: u16 = 5;
    pub(super) const YCBCR: u16 = 6;
}

/// The value of the tag `Compression` for JPEG files in strips or tiles.
const JPEG: u16 = 7;

type File<'a> = Decoder<Cursor<&'a [u8]>>;

/// What the tags of the first page say.
struct Header {
    size: (u32, u32),
    photometric: u16,
    compression: u16,
    /// Bands, colours and others.
    samples: u16,
    /// Bits of each.
    bits: u16,
    /// Whether each band lies for itself.
    is_planar: bool,
    /// Whether the band behind the colours is their opacity, and whether they are multiplied with it.
    alpha: Option<bool>,
    /// Red of all values, then green, then blue.
    palette: Vec<u8>,
    orientation: Orientation,
    has_pages: bool,
}

/// Width and height in pixels of the first page, as it is stored.
pub(crate) fn tiff_size(bytes: &[u8], path: &Path) -> Result<(u32, u32), Error> {
    open(bytes)
        .and_then(|mut file| file.dimensions())
        .map_err(|error| refused(error, path))
}

/// How viewers turn the first page.
pub(crate) fn tiff_orientation(bytes: &[u8], path: &Path) -> Result<Orientation, Error> {
    open(bytes)
        .and_then(|mut file| orientation_in(&mut file))
        .map_err(|error| refused(error, path))
}

/// The first page of a TIFF file.
pub(crate) fn decode_tiff(
    bytes: &[u8],
    path: &Path,
    odd: OddPictures,
    decoding: &Decoding,
) -> Result<Layers, Error> {
    let failed = |error| refused(error, path);
    let mut file = open(bytes).map_err(failed)?;
    let header = Header::of(&mut file).map_err(failed)?;
    header.check_size(bytes, path)?;
    check_parts(&mut file, &header, bytes, path)?;
    let shown = header.shown(decoding, path, odd)?;
    let bands = Bands::read(bytes, &header).map_err(failed)?;
    let (colours, narrow) = bands.colours(&header, &shown, decoding, path)?;
    let traits = Traits {
        narrow,
        has_pages: header.has_pages,
        ..Traits::default()
    };
    Ok(Layers {
        colours,
        alpha: bands.alpha(&header, &shown),
        orientation: header.orientation,
        traits,
    })
}

fn open(bytes: &[u8]) -> Result<File<'_>, TiffError> {
    // The library makes room for as many values as a tag claims.
    let mut entries = Entries::of(bytes).into_iter().flatten();
    if entries.any(|entry| entry.bytes > bytes.len() as u64) {
        return Err(TiffError::LimitsExceeded);
    }
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_VALUE_BYTES * bytes.len();
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(limits))
}

fn refused(error: TiffError, path: &Path) -> Error {
    let path = path.to_owned();
    match error {
        TiffError::UnsupportedError(kind) => Error::PictureKind {
            path,
            kind: format!("a TIFF file of a rare kind ({kind})"),
        },
        error => Error::Picture {
            path,
            source: ImageError::Decoding(DecodingError::new(
                ImageFormatHint::Exact(ImageFormat::Tiff),
                error,
            )),
        },
    }
}

fn orientation_in(file: &mut File<'_>) -> Result<Orientation, TiffError> {
    let value: Option<u16> = file.find_tag_unsigned(Tag::Orientation)?;
    let value = value.and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?));
    Ok(value.unwrap_or(Orientation::NoTransforms))
}

impl Header {
    fn of(file: &mut File<'_>) -> Result<Self, TiffError> {
        let bits: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::BitsPerSample)?;
        let extra: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::ExtraSamples)?;
        let alpha = match extra.unwrap_or_default().first() {
            Some(1) => Some(true),
            Some(2) => Some(false),
            _ => None,
        };
        let palette: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::ColorMap)?;
        let planes: Option<u16> = file.find_tag_unsigned(Tag::PlanarConfiguration)?;
        Ok(Self {
            size: file.dimensions()?,
            photometric: file.get_tag_unsigned(Tag::PhotometricInterpretation)?,
            compression: file.find_tag_unsigned(Tag::Compression)?.unwrap_or(1),
            samples: file.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1),
            bits: bits.unwrap_or_default().first().copied().unwrap_or(1),
            is_planar: planes == Some(2),
            alpha,
            palette: palette_bytes(&palette.unwrap_or_default()),
            orientation: orientation_in(file)?,
            has_pages: has_pages(file),
        })
    }

    /// Refuses what would take more memory than the file can hold.
    fn check_size(&self, bytes: &[u8], path: &Path) -> Result<(), Error> {
        let pixel_bits = (u64::from(self.bits) * u64::from(self.samples)).max(1);
        let most = MAX_PIXELS.min(bytes.len() as u64 * 8 * MAX_RATIO / pixel_bits);
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        if pixels <= most {
            return Ok(());
        }
        Err(Error::PictureTooLarge {
            path: path.to_owned(),
            picture_px: self.size,
            most,
        })
    }

    /// Which bands are shown, and how.
    fn shown(&self, decoding: &Decoding, path: &Path, odd: OddPictures) -> Result<Shown, Error> {
        use photometric::*;
        let kind = |kind: String| Error::PictureKind {
            path: path.to_owned(),
            kind,
        };
        match (self.photometric, self.samples) {
            _ if ![1, 2, 4, 8, 16, 32, 64].contains(&self.bits) => {
                Err(kind(format!("a {}-bit TIFF file", self.bits)))
            }
            (WHITE_IS_ZERO | BLACK_IS_ZERO | RGB, _) if !decoding.bands.is_empty() => {
                self.chosen(&decoding.bands, path)
            }
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 1) => Ok(Shown::Bands(vec![0])),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 2) if self.alpha.is_some() => Ok(Shown::Bands(vec![0])),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, _) => Err(self.needs_choice(path)),
            (RGB, 3..) => Ok(Shown::Bands(vec![0, 1, 2])),
            (PALETTE, 1) if self.palette.len() == 3 << self.bits.min(16) => Ok(Shown::Palette),
            (CMYK, 4..) if odd == OddPictures::Refuse => Err(Error::OddPicture {
                path: path.to_owned(),
                oddity: Oddity::Cmyk,
            }),
            (CMYK, 4..) => Ok(Shown::Cmyk),
            (YCBCR, 3) if self.compression == JPEG => Ok(Shown::Ycbcr),
            (YCBCR, _) => Err(kind("a TIFF file in YCbCr without JPEG".to_owned())),
            (8..=10, _) => Err(kind("a TIFF file in CIE L*a*b*".to_owned())),
            (other, samples) => Err(kind(format!(
                "a TIFF file of {samples} bands with photometric interpretation {other}"
            ))),
        }
    }

    fn chosen(&self, bands: &[u16], path: &Path) -> Result<Shown, Error> {
        match bands.iter().all(|band| (1..=self.samples).contains(band)) {
            true => Ok(Shown::Bands(bands.iter().map(|band| band - 1).collect())),
            false => Err(self.needs_choice(path)),
        }
    }

    fn needs_choice(&self, path: &Path) -> Error {
        Error::Bands {
            path: path.to_owned(),
            bands: self.samples,
        }
    }

    /// The band of opacity, where the file has one behind the colours that are shown.
    fn alpha_band(&self, shown: &Shown) -> Option<(u16, bool)> {
        let colours = match (shown, self.photometric) {
            (Shown::Bands(_), photometric::RGB) => 3,
            (Shown::Bands(_), _) => 1,
            (Shown::Cmyk, _) => 4,
            _ => return None,
        };
        let is_multiplied = self.alpha.filter(|_| self.samples > colours)?;
        Some((colours, is_multiplied))
    }
}

/// Whether a second image is a page and not a small copy or a mask of the first.
fn has_pages(file: &mut File<'_>) -> bool {
    let is_page = |file: &mut File<'_>| {
        file.next_image()?;
        let kind: Option<u32> = file.find_tag_unsigned(Tag::NewSubfileType)?;
        Ok::<_, TiffError>(kind.unwrap_or(0) & 0b101 == 0)
    };
    let has_pages = file.more_images() && is_page(file).unwrap_or(false);
    let is_back = file.seek_to_image(0).is_ok();
    has_pages && is_back
}

/// Refuses tiles and JPEG files in strips or tiles that would take more memory than the picture.
fn check_parts(
    file: &mut File<'_>,
    header: &Header,
    bytes: &[u8],
    path: &Path,
) -> Result<(), Error> {
    let (width, height) = file.chunk_dimensions();
    let part = Header {
        size: (width, height.min(header.size.1)),
        palette: Vec::new(),
        ..*header
    };
    part.check_size(bytes, path)?;
    if header.compression != JPEG {
        return Ok(());
    }
    let failed = |error| refused(error, path);
    let is_tiled = file.find_tag(Tag::TileOffsets).map_err(failed)?.is_some();
    let (offsets, lengths) = match is_tiled {
        true => (Tag::TileOffsets, Tag::TileByteCounts),
        false => (Tag::StripOffsets, Tag::StripByteCounts),
    };
    let offsets = file.get_tag_u64_vec(offsets).map_err(failed)?;
    let lengths = file.get_tag_u64_vec(lengths).map_err(failed)?;
    for (offset, length) in offsets.into_iter().zip(lengths) {
        let file = bytes.get(offset as usize..).unwrap_or_default();
        let part = &file[..file.len().min(length as usize)];
        check_jpeg(part, (width, height), path)?;
    }
    Ok(())
}

fn check_jpeg(bytes: &[u8], most: (u32, u32), path: &Path) -> Result<(), Error> {
    let Some(frame) = Frame::first_of(bytes) else {
        return Ok(()); // the decoder tells what is wrong
    };
    if let Some(kind) = frame.unread_kind() {
        return Err(Error::PictureKind {
            path: path.to_owned(),
            kind: format!("a TIFF file with {kind} in it"),
        });
    }
    let size = frame.size_px;
    if size.0 <= most.0 && size.1 <= most.1 {
        return Ok(());
    }
    Err(Error::PictureTooLarge {
        path: path.to_owned(),
        picture_px: size,
        most: u64::from(most.0) * u64::from(most.1),
    })
}

/// What of a file becomes the picture.
enum Shown {
    /// One band as grey, or three as red, green and blue; counted from 0.
    Bands(Vec<u16>),
    /// The colours of the values of the only band.
    Palette,
    /// The first four bands as inks.
    Cmyk,
    /// The three bands of a JPEG file.
    Ycbcr,
}

/// All samples of the first page, in the strips or tiles of the file: the library puts together those
/// of planes wrongly.
struct Bands {
    size: (u32, u32),
    bits: usize,
    samples: usize,
    is_planar: bool,
    /// Width and height of a strip or tile.
    part_px: (usize, usize),
    /// Strips or tiles side by side.
    across: usize,
    /// Strips or tiles of a plane, or of all bands where they lie together.
    per_plane: usize,
    parts: Vec<Part>,
}

/// A strip or a tile.
struct Part {
    /// Without what pads it, in pixels.
    width: usize,
    values: DecodingResult,
}

impl Bands {
    fn read(bytes: &[u8], header: &Header) -> Result<Self, TiffError> {
        let bytes = with_all_bands(bytes);
        let file = open(&bytes)?;
        let mut file = file.with_limits(Limits::unlimited()); // the sizes are checked
        let (width, height) = file.chunk_dimensions();
        let across = header.size.0.div_ceil(width);
        let per_plane = across * header.size.1.div_ceil(height);
        let planes = if header.is_planar { header.samples } else { 1 };
        let part = |index| {
            Ok(Part {
                width: file.chunk_data_dimensions(index).0 as usize,
                values: file.read_chunk(index)?,
            })
        };
        let parts = (0..per_plane * u32::from(planes)).map(part);
        Ok(Self {
            size: header.size,
            bits: header.bits.into(),
            samples: header.samples.into(),
            is_planar: header.is_planar,
            part_px: (width as usize, height as usize),
            across: across as usize,
            per_plane: per_plane as usize,
            parts: parts.collect::<Result<_, TiffError>>()?,
        })
    }

    /// A sample by its pixel and band.
    fn value(&self, x: usize, y: usize, band: usize) -> f64 {
        let (width, height) = self.part_px;
        let (plane, samples, band) = match self.is_planar {
            true => (band, 1, 0),
            false => (0, self.samples, band),
        };
        let part = plane * self.per_plane + y / height * self.across + x / width;
        let part = &self.parts[part];
        let (x, y) = (x % width, y % height);
        match &part.values {
            DecodingResult::U8(bytes) if self.bits < 8 => {
                let row = (part.width * samples * self.bits).div_ceil(8);
                let bit = (x * samples + band) * self.bits;
                let byte = bytes[y * row + bit / 8] >> (8 - self.bits - bit % 8);
                f64::from(byte & ((1 << self.bits) - 1))
            }
            values => number_at(values, (y * part.width + x) * samples + band),
        }
    }

    /// Columns and rows of all pixels, in the order of a picture.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
    }

    /// The values of some bands, pixel by pixel.
    fn values_of<'a>(&'a self, bands: &'a [u16]) -> impl Iterator<Item = f64> + 'a {
        self.places().flat_map(move |(x, y)| {
            let value = move |&band: &u16| self.value(x, y, band.into());
            bands.iter().map(value)
        })
    }

    /// The smallest and largest value of the type, where it has them.
    fn ends(&self) -> Option<[f64; 2]> {
        let is_unsigned = matches!(
            self.parts[0].values,
            DecodingResult::U8(_) | DecodingResult::U16(_) | DecodingResult::U32(_)
        );
        is_unsigned.then(|| [0.0, 2_f64.powi(self.bits as i32) - 1.0])
    }

    /// The picture, and the ends of its 16-bit values where these are a small part of the range.
    fn colours(
        &self,
        header: &Header,
        shown: &Shown,
        decoding: &Decoding,
        path: &Path,
    ) -> Result<(RgbImage, Option<[u16; 2]>), Error> {
        if let Shown::Bands(bands) = shown {
            return self.stretched(header, bands, decoding, path);
        }
        let ends = self.ends().ok_or_else(|| no_range(path))?;
        let pixels = self.places().map(|(x, y)| {
            let value = |band| self.value(x, y, band);
            match shown {
                Shown::Palette => palette_colour(&header.palette, value(0) as usize),
                Shown::Cmyk => cmyk_colour([0, 1, 2, 3].map(value), ends),
                _ => ycbcr_colour([0, 1, 2].map(value)),
            }
        });
        Ok((self.picture(pixels), None))
    }

    fn stretched(
        &self,
        header: &Header,
        bands: &[u16],
        decoding: &Decoding,
        path: &Path,
    ) -> Result<(RgbImage, Option<[u16; 2]>), Error> {
        let limits = match self.ends() {
            Some(ends) if self.bits <= 8 => Some(ends),
            ends => decoding.stretch.limits(self.values_of(bands), ends),
        };
        let limits = limits.ok_or_else(|| no_range(path))?;
        let is_negative = header.photometric == photometric::WHITE_IS_ZERO;
        let byte = |value: f64| match is_negative {
            true => 255 - to_byte(value, limits),
            false => to_byte(value, limits),
        };
        let bytes: Vec<u8> = self.values_of(bands).map(byte).collect();
        let pixels = bytes.chunks_exact(bands.len());
        let picture = self.picture(pixels.map(|pixel| match *pixel {
            [red, green, blue] => [red, green, blue],
            _ => [pixel[0]; 3],
        }));
        let sixteen = matches!(self.parts[0].values, DecodingResult::U16(_)).then(|| {
            let values = self.values_of(bands).map(|value| value as u16);
            narrow_range(values, decoding.stretch)
        });
        Ok((picture, sixteen.flatten()))
    }

    fn picture(&self, pixels: impl Iterator<Item = [u8; 3]>) -> RgbImage {
        let mut picture = RgbImage::new(self.size.0, self.size.1);
        for (place, pixel) in picture.pixels_mut().zip(pixels) {
            *place = Rgb(pixel);
        }
        picture
    }

    fn alpha(&self, header: &Header, shown: &Shown) -> Option<Alpha> {
        let (band, is_multiplied) = header.alpha_band(shown)?;
        let (ends, band) = (self.ends()?, [band]);
        let opacity = self.values_of(&band).map(|value| to_byte(value, ends));
        Some(Alpha {
            opacity: opacity.collect(),
            is_multiplied,
        })
    }
}

fn no_range(path: &Path) -> Error {
    Error::NoRange {
        path: path.to_owned(),
    }
}

fn number_at(values: &DecodingResult, at: usize) -> f64 {
    match values {
        DecodingResult::U8(values) => values[at].into(),
        DecodingResult::U16(values) => values[at].into(),
        DecodingResult::U32(values) => values[at].into(),
        DecodingResult::U64(values) => values[at] as f64,
        DecodingResult::I8(values) => values[at].into(),
        DecodingResult::I16(values) => values[at].into(),
        DecodingResult::I32(values) => values[at].into(),
        DecodingResult::I64(values) => values[at] as f64,
        DecodingResult::F16(values) => values[at].to_f64(),
        DecodingResult::F32(values) => values[at].into(),
        DecodingResult::F64(values) => values[at],
    }
}

/// The parts of a palette in 8 bits of the 16 that they have; some programs write them in the lower 8.
fn palette_bytes(palette: &[u16]) -> Vec<u8> {
    let is_low = palette.iter().all(|&part| part < 256);
    let shift = if is_low { 0 } else { 8 };
    palette.iter().map(|&part| (part >> shift) as u8).collect()
}

/// All red values come first, then all green ones, then all blue ones.
fn palette_colour(palette: &[u8], value: usize) -> [u8; 3] {
    let colours = palette.len() / 3;
    [0, 1, 2].map(|part| palette[part * colours + value])
}

/// As Pillow does it: without a colour profile. Inks are not inverted in TIFF files.
fn cmyk_colour([cyan, magenta, yellow, black]: [f64; 4], [_, most]: [f64; 2]) -> [u8; 3] {
    let light = |ink: f64| 1.0 - ink / most;
    [cyan, magenta, yellow].map(|ink| (255.0 * light(ink) * light(black)).round() as u8)
}

/// ITU-T T.871, the full range of 8 bits.
fn ycbcr_colour([luma, blue, red]: [f64; 3]) -> [u8; 3] {
    let (blue, red) = (blue - 128.0, red - 128.0);
    let green = luma - 0.344_136 * blue - 0.714_136 * red;
    [luma + 1.402 * red, green, luma + 1.772 * blue].map(|value| value.round() as u8)
}

/// The file with the tag `PhotometricInterpretation` saying grey: the library then decodes every band
/// as it is stored.
fn with_all_bands(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let is_little = bytes.first() == Some(&b'I');
    let two = |number: u16| match is_little {
        true => number.to_le_bytes(),
        false => number.to_be_bytes(),
    };
    let mut entries = Entries::of(bytes).into_iter().flatten();
    let entry = entries.find(|entry| entry.tag == Tag::PhotometricInterpretation.to_u16());
    if let Some(Entry { at, value, .. }) = entry {
        changed[at + 2..at + 4].copy_from_slice(&two(3)); // a value of 16 bits
        changed[value..value + 2].copy_from_slice(&two(photometric::BLACK_IS_ZERO));
    }
    changed
}

/// The entries of the first directory of a file, as far as they lie in it.
struct Entries<'a> {
    bytes: &'a [u8],
    is_big: bool,
    /// The place of the next one.
    at: usize,
    left: u64,
}

/// An entry of a directory.
struct Entry {
    at: usize,
    tag: u16,
    /// Bytes of all its values.
    bytes: u64,
    /// The place of its value, or of where that is.
    value: usize,
}

impl<'a> Entries<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let is_big = number(bytes, 2, 2)? == 43;
        let (place, count_bytes) = if is_big { (8, 8) } else { (4, 2) };
        let directory = number(bytes, place, if is_big { 8 } else { 4 })?;
        let directory = usize::try_from(directory).ok()?;
        Some(Self {
            bytes,
            is_big,
            at: directory.checked_add(count_bytes)?,
            left: number(bytes, directory, count_bytes)?,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        let (count_bytes, length) = if self.is_big { (8, 20) } else { (4, 12) };
        self.at = at.checked_add(length)?;
        self.bytes.get(at..self.at)?;
        let count = number(self.bytes, at + 4, count_bytes)?;
        let value_bytes = match number(self.bytes, at + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            _ => 8,
        };
        Some(Entry {
            at,
            tag: number(self.bytes, at, 2)? as u16,
            bytes: count.saturating_mul(value_bytes),
            value: at + 4 + count_bytes,
        })
    }
}

/// A number of so many bytes, in the order of the file.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(length)?)?;
    let sum = |sum: u64, &digit: &u8| sum << 8 | u64::from(digit);
    Some(match bytes.first() {
        Some(b'I') => digits.iter().rev().fold(0, sum),
        _ => digits.iter().fold(0, sum),
    })
}
