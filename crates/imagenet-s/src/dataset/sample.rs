//! One picture of a dataset: where it lies, and reading it.

use std::{fs::File, io::Read, path::PathBuf};

use image::RgbImage;

use crate::{
    Error,
    dataset::scan::Found,
    pack::PackedPicture,
    pictures::picture::{OddPictures, decode_picture, picture_size, read_picture, size_of},
};

/// One picture of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// `folder/stem`: the path below the split's folder without the extension, always with `/`.
    /// Unique within a split; pseudo labels and predictions go by it.
    pub key: String,
    /// The picture's file.
    pub picture: PathBuf,
    /// The mask's file; `None` for a whole split without masks.
    pub mask: Option<PathBuf>,
    /// Rank of the class folder among the class names, so the class id is 1 + this. For
    /// [`Dataset::open_pictures`](crate::Dataset::open_pictures) the rank among the folders found; `None` for a loose picture.
    ///
    /// This is a label: unsupervised steps must not look at it.
    pub folder: Option<u32>,
    /// Where the picture lies in a pack, from which it is then read.
    pub(crate) packed: Option<PackedPicture>,
}

impl Sample {
    /// A picture file without a mask.
    pub fn of_file(
        key: impl Into<String>,
        picture: impl Into<PathBuf>,
        folder: Option<u32>,
    ) -> Self {
        Self {
            key: key.into(),
            picture: picture.into(),
            mask: None,
            folder,
            packed: None,
        }
    }

    pub(crate) fn new(found: Found, folder: Option<u32>) -> Self {
        Self::of_file(found.key, found.path, folder)
    }

    /// The picture, from the pack of the dataset if it has one: the same bits as from the file.
    ///
    /// # Errors
    ///
    /// Those of [`read_picture`](crate::read_picture), and [`Error::PackFormat`] for a pack that
    /// was damaged since it was opened.
    pub fn read_picture(&self, odd: OddPictures) -> Result<RgbImage, Error> {
        match &self.packed {
            Some(packed) => decode_picture(&packed.read()?, &self.picture, odd),
            None => read_picture(&self.picture, odd),
        }
    }

    /// The length of the picture's file in bytes, and the first of them, at most `most`; the same
    /// from a pack as from the file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn beginning(&self, most: u64) -> Result<(u64, Vec<u8>), Error> {
        if let Some(packed) = &self.packed {
            return packed.beginning(most);
        }
        let read = || {
            let file = File::open(&self.picture)?;
            let length = file.metadata()?.len();
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok((length, bytes))
        };
        read().map_err(Error::io(&self.picture))
    }

    /// Width and height of the picture in pixels, from its header.
    ///
    /// # Errors
    ///
    /// Those of [`picture_size`](crate::picture_size), and [`Error::PackFormat`].
    pub fn picture_size(&self) -> Result<(usize, usize), Error> {
        match &self.packed {
            Some(packed) => size_of(&packed.read()?, &self.picture),
            None => picture_size(&self.picture),
        }
    }
}
