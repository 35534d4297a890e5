//! One picture of a dataset: where it lies, and reading it.

use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
    sync::Arc,
};

use image::RgbImage;

use crate::{
    Error,
    dataset::scan::Found,
    pack::PackedPicture,
    pictures::{decoding::Decoding, picture::OddPictures, traits::Traits},
};

/// One picture of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `folder/stem`: the path below the split's folder without the extension, always with `/`.
    /// Unique within a split; pseudo labels and predictions go by it. Pictures of one's own that differ
    /// in nothing but the extension keep it: `a.jpg` and `a.png`.
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
    /// How its file becomes pixels.
    pub(crate) decoding: Arc<Decoding>,
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
            decoding: Arc::default(),
        }
    }

    pub(crate) fn new(found: Found, folder: Option<u32>) -> Self {
        Self::of_file(found.key, found.path, folder)
    }

    /// The same picture, read in another way.
    pub fn with_decoding(self, decoding: Arc<Decoding>) -> Self {
        Self { decoding, ..self }
    }

    /// The picture, from the pack of the dataset if it has one: the same bits as from the file.
    ///
    /// # Errors
    ///
    /// Those of [`Decoding::read`], and [`Error::PackFormat`] for a pack that was damaged since it
    /// was opened.
    pub fn read_picture(&self, odd: OddPictures) -> Result<RgbImage, Error> {
        Ok(self.examine(odd)?.0)
    }

    /// [`read_picture`](Self::read_picture), and what was noticed.
    pub(crate) fn examine(&self, odd: OddPictures) -> Result<(RgbImage, Traits), Error> {
        self.decoding.examine(&self.bytes()?, &self.picture, odd)
    }

    fn bytes(&self) -> Result<Vec<u8>, Error> {
        match &self.packed {
            Some(packed) => packed.read(),
            None => fs::read(&self.picture).map_err(Error::io(&self.picture)),
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

    /// Width and height in pixels of the picture that [`read_picture`](Self::read_picture) gives, from
    /// the headers of its file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::PackFormat`], and a header that cannot be read.
    pub fn picture_size(&self) -> Result<(usize, usize), Error> {
        match &self.packed {
            Some(packed) => self.decoding.size_of(&packed.read()?, &self.picture),
            None => self.decoding.size_of_file(&self.picture),
        }
    }
}
