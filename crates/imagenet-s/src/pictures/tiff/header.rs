//! What the tags of the first page say, and what of it becomes the picture.

use std::path::Path;

use image::metadata::Orientation;
use tiff::{TiffError, tags::Tag};

use super::{File, orientation_in};
use crate::{
    error::Error,
    pictures::{decoding::Decoding, oddity::Oddity, picture::OddPictures},
};

/// Values of the tag `PhotometricInterpretation`.
pub(super) mod photometric {
    pub(in super::super) const WHITE_IS_ZERO: u16 = 0;
    pub(in super::super) const BLACK_IS_ZERO: u16 = 1;
    pub(in super::super) const RGB: u16 = 2;
    pub(in super::super) const PALETTE: u16 = 3;
    pub(in super::super) const CMYK: u16 = 5;
    pub(in super::super) const YCBCR: u16 = 6;
}

/// The value of the tag `Compression` for fax of group 4.
pub(super) const FAX_4: u16 = 4;

/// The value of the tag `Compression` for JPEG files in strips or tiles.
pub(super) const JPEG: u16 = 7;

/// The value of the tag `SampleFormat` for unsigned integers.
const UNSIGNED: u16 = 1;

/// What the tags of the first page say.
pub(super) struct Header {
    pub(super) size: (u32, u32),
    pub(super) photometric: u16,
    pub(super) compression: u16,
    /// Bands, colours and others.
    pub(super) samples: u16,
    /// Bits of each.
    pub(super) bits: u16,
    /// Whether they are unsigned integers.
    pub(super) is_unsigned: bool,
    /// Whether each band lies for itself.
    pub(super) is_planar: bool,
    /// The band of their opacity, counted from 0, and whether they are multiplied with it.
    pub(super) alpha: Option<(u16, bool)>,
    /// Red of all values, then green, then blue.
    pub(super) palette: Vec<u8>,
    pub(super) orientation: Orientation,
    pub(super) has_pages: bool,
}

/// What of a file becomes the picture.
pub(super) enum Shown {
    /// One band as grey, or three as red, green and blue; counted from 0.
    Bands(Vec<u16>),
    /// The colours of the values of the only band.
    Palette,
    /// The first four bands as inks.
    Cmyk,
    /// The three bands of a JPEG file.
    Ycbcr,
}

impl Header {
    pub(super) fn of(file: &mut File<'_>) -> Result<Self, TiffError> {
        let bits: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::BitsPerSample)?;
        let extra: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::ExtraSamples)?;
        let palette: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::ColorMap)?;
        let format: Option<Vec<u16>> = file.find_tag_unsigned_vec(Tag::SampleFormat)?;
        let format = format.unwrap_or_default().first().copied();
        let planes: Option<u16> = file.find_tag_unsigned(Tag::PlanarConfiguration)?;
        let photometric = file.get_tag_unsigned(Tag::PhotometricInterpretation)?;
        let samples = file.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1);
        Ok(Self {
            size: file.dimensions()?,
            photometric,
            compression: file.find_tag_unsigned(Tag::Compression)?.unwrap_or(1),
            samples,
            bits: bits.unwrap_or_default().first().copied().unwrap_or(1),
            is_unsigned: format.unwrap_or(UNSIGNED) == UNSIGNED,
            is_planar: planes == Some(2),
            alpha: opacity(photometric, samples, &extra.unwrap_or_default()),
            palette: palette_bytes(&palette.unwrap_or_default()),
            orientation: orientation_in(file)?,
            has_pages: has_pages(file),
        })
    }

    /// Which bands are shown, and how.
    pub(super) fn shown(
        &self,
        decoding: &Decoding,
        path: &Path,
        odd: OddPictures,
    ) -> Result<Shown, Error> {
        use photometric::*;
        let kind = |kind: String| Error::PictureKind {
            path: path.to_owned(),
            kind,
        };
        match (self.photometric, self.samples) {
            _ if ![1, 2, 4, 8, 16, 32, 64].contains(&self.bits) => {
                Err(kind(format!("a {}-bit TIFF file", self.bits)))
            }
            _ if self.bits < 8 && !self.is_unsigned => Err(kind(format!(
                "a TIFF file of signed or real samples of {} bits",
                self.bits
            ))),
            (PALETTE | CMYK | YCBCR, _) if !self.is_unsigned || self.bits > 16 => Err(kind(
                "a TIFF file with a palette, in CMYK or YCbCr, whose samples are signed, real or of 32 \
                 bits and more"
                    .to_owned(),
            )),
            (WHITE_IS_ZERO | BLACK_IS_ZERO | RGB, _) if !decoding.bands.is_empty() => {
                self.chosen(&decoding.bands, path)
            }
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 1) => Ok(Shown::Bands(vec![0])),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 2) if self.alpha.is_some() => Ok(Shown::Bands(vec![0])),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, _) => Err(self.needs_choice(path)),
            (RGB, 3..) => Ok(Shown::Bands(vec![0, 1, 2])),
            (PALETTE, 1) if self.palette.len() == 3 << self.bits => Ok(Shown::Palette),
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
        let are_there = bands.iter().all(|band| (1..=self.samples).contains(band));
        match are_there && [1, 3].contains(&bands.len()) {
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

    /// The band of opacity, where the file has one that is not itself shown.
    pub(super) fn alpha_band(&self, shown: &Shown) -> Option<(u16, bool)> {
        self.alpha.filter(|(band, _)| match shown {
            Shown::Bands(bands) => !bands.contains(band),
            _ => true,
        })
    }
}

/// The first of the extra samples, which lie behind the colours, that is opacity: 1 where the colours are
/// multiplied with it, else 2.
fn opacity(photometric: u16, samples: u16, extra: &[u16]) -> Option<(u16, bool)> {
    let colours = match photometric {
        photometric::RGB | photometric::YCBCR => 3,
        photometric::CMYK => 4,
        _ => 1,
    };
    let mut bands = (colours..samples).zip(extra);
    let (band, kind) = bands.find(|(_, kind)| [1, 2].contains(*kind))?;
    Some((band, *kind == 1))
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

/// The parts of a palette in 8 bits of the 16 that they have; some programs write them in the lower 8.
fn palette_bytes(palette: &[u16]) -> Vec<u8> {
    let is_low = palette.iter().all(|&part| part < 256);
    let shift = if is_low { 0 } else { 8 };
    palette.iter().map(|&part| (part >> shift) as u8).collect()
}
