//! Samples into colours and opacity.

use std::path::Path;

use image::{Rgb, RgbImage};
use tiff::decoder::DecodingResult;

use super::{
    bands::Bands,
    header::{Header, Shown, photometric},
};
use crate::{
    error::Error,
    pictures::{
        decoding::Decoding,
        layers::{Alpha, narrow_range},
        stretch::to_byte,
    },
};

impl Bands {
    /// The picture, and the ends of its 16-bit values where these are a small part of the range.
    pub(super) fn colours(
        &self,
        header: &Header,
        shown: &Shown,
        decoding: &Decoding,
        path: &Path,
    ) -> Result<(RgbImage, Option<[u16; 2]>), Error> {
        if let Shown::Bands(bands) = shown {
            return self.stretched(header, bands, decoding, path);
        }
        let pixels = self.places().map(|(x, y)| {
            let value = |band| self.value(x, y, band);
            match shown {
                Shown::Palette => palette_colour(&header.palette, value(0) as usize),
                Shown::Cmyk => cmyk_colour([0, 1, 2, 3].map(value), self.most()),
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

    /// The opacity of each pixel, where the file has it.
    pub(super) fn alpha(
        &self,
        header: &Header,
        shown: &Shown,
        path: &Path,
    ) -> Result<Option<Alpha>, Error> {
        let Some((band, is_multiplied)) = header.alpha_band(shown) else {
            return Ok(None);
        };
        let ends = self.opacity_ends().ok_or_else(|| Error::PictureKind {
            path: path.to_owned(),
            kind: "a TIFF file with signed opacity".to_owned(),
        })?;
        let band = [band];
        let opacity = self.values_of(&band).map(|value| to_byte(value, ends));
        Ok(Some(Alpha {
            opacity: opacity.collect(),
            is_multiplied,
        }))
    }

    /// What is clear and what opaque, which no stretch changes; signed samples do not tell.
    fn opacity_ends(&self) -> Option<[f64; 2]> {
        use DecodingResult::{F16, F32, F64, U8, U16, U32, U64};
        match self.parts[0].values {
            U8(_) | U16(_) | U32(_) | U64(_) => Some([0.0, self.most()]),
            F16(_) | F32(_) | F64(_) => Some([0.0, 1.0]),
            _ => None,
        }
    }
}

fn no_range(path: &Path) -> Error {
    Error::NoRange {
        path: path.to_owned(),
    }
}

/// All red values come first, then all green ones, then all blue ones.
fn palette_colour(palette: &[u8], value: usize) -> [u8; 3] {
    let colours = palette.len() / 3;
    [0, 1, 2].map(|part| palette[part * colours + value])
}

/// As Pillow does it: without a colour profile. Inks are not inverted in TIFF files.
fn cmyk_colour([cyan, magenta, yellow, black]: [f64; 4], most: f64) -> [u8; 3] {
    let light = |ink: f64| 1.0 - ink / most;
    [cyan, magenta, yellow].map(|ink| (255.0 * light(ink) * light(black)).round() as u8)
}

/// ITU-T T.871, the full range of 8 bits.
fn ycbcr_colour([luma, blue, red]: [f64; 3]) -> [u8; 3] {
    let (blue, red) = (blue - 128.0, red - 128.0);
    let green = luma - 0.344_136 * blue - 0.714_136 * red;
    [luma + 1.402 * red, green, luma + 1.772 * blue].map(|value| value.round() as u8)
}
