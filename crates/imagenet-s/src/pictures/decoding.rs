//! How the content of a file becomes 8-bit RGB.

use std::{fs, path::Path};

use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    pictures::{
        format::content_format,
        layers::Layers,
        orientation::{Orienting, orientation_of_file, turned_size},
        picture::{OddPictures, decode_layers},
        size::{stored_size, stored_size_of_file},
        stretch::Stretch,
        traits::Traits,
    },
};

/// How the content of a file becomes 8-bit RGB.
///
/// The default is what the published numbers of ImageNet-S are about: pictures as they are stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// What to do with the orientation of EXIF.
    pub orientation: Orienting,
    /// Which values of more than 8 bits become black and white.
    pub stretch: Stretch,
    /// One band of TIFF files as grey, or three as red, green and blue; counted from 1, as in GDAL.
    /// Empty for the colours that the file names.
    pub bands: Vec<u16>,
    /// What is seen through transparent pixels.
    pub background: Background,
}

/// What is seen through transparent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// Nothing: the opacity is dropped, and colours stay as they are stored.
    #[default]
    Drop,
    /// This colour, red, green and blue in `0..=255`.
    Colour([u8; 3]),
}

impl Decoding {
    /// Pictures as viewers show them: turned as EXIF says, and on white.
    pub fn as_shown() -> Self {
        Self {
            orientation: Orienting::Apply,
            background: Background::Colour([255; 3]),
            ..Self::default()
        }
    }

    /// Reads a file as 8-bit RGB; the rest as [`decode`](Self::decode).
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and those of [`decode`](Self::decode).
    ///
    /// # Panics
    ///
    /// As [`decode`](Self::decode).
    pub fn read(&self, path: &Path, odd: OddPictures) -> Result<RgbImage, Error> {
        let bytes = fs::read(path).map_err(Error::io(path))?;
        self.decode(&bytes, path, odd)
    }

    /// The picture in the content of a file; `path` is for its extension and for messages.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyFile`], [`Error::PictureFormat`], [`Error::TruncatedPicture`],
    /// [`Error::PictureKind`] for a kind that nothing here decodes rightly, [`Error::Picture`] when
    /// the decoder fails, [`Error::PictureTooLarge`] for more than 2^27 pixels or more than the bytes
    /// of the file can hold, [`Error::OddPicture`] under [`OddPictures::Refuse`], and
    /// [`Error::Bands`] and [`Error::NoRange`] for TIFF files that need a choice.
    ///
    /// # Panics
    ///
    /// If a percentile of [`stretch`](Self::stretch) is not in `0..=100`.
    pub fn decode(&self, bytes: &[u8], path: &Path, odd: OddPictures) -> Result<RgbImage, Error> {
        Ok(self.examine(bytes, path, odd)?.0)
    }

    /// [`decode`](Self::decode), and what was noticed.
    pub(crate) fn examine(
        &self,
        bytes: &[u8],
        path: &Path,
        odd: OddPictures,
    ) -> Result<(RgbImage, Traits), Error> {
        let layers: Layers = decode_layers(bytes, path, odd, self)?;
        Ok(layers.finished(self))
    }

    /// Width and height in pixels of the picture that [`decode`](Self::decode) would make, from the
    /// headers of the file.
    pub(crate) fn size_of(&self, bytes: &[u8], path: &Path) -> Result<(usize, usize), Error> {
        let format: ImageFormat = content_format(bytes, path)?;
        let mut size = stored_size(bytes, format, path)?;
        if self.orientation == Orienting::Apply {
            size = turned_size(size, orientation_of_file(bytes, format, path)?);
        }
        Ok(numbers(size))
    }

    /// The same of a file; where pictures are not turned, of most formats only its header is read.
    pub(crate) fn size_of_file(&self, path: &Path) -> Result<(usize, usize), Error> {
        match self.orientation {
            Orienting::Ignore => stored_size_of_file(path).map(numbers),
            // What turns a picture may lie behind its pixels.
            Orienting::Apply => self.size_of(&fs::read(path).map_err(Error::io(path))?, path),
        }
    }
}

fn numbers((width, height): (u32, u32)) -> (usize, usize) {
    (width as usize, height as usize)
}
