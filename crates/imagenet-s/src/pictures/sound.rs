//! Whether a picture and its mask can be read and fit, for a run before it starts and for the doctor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use image::RgbImage;
use luss_metrics::{IGNORE, LabelMask};

use crate::Error;

/// What `decode` makes of the file at `path`; a decoder that panics is an error like any other.
pub(crate) fn guarded<T>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let panicked = |_| {
        let path = path.to_owned();
        Err(Error::DecoderPanic { path })
    };
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(panicked)
}

/// Width and height of a picture in pixels.
pub(crate) fn size_px(picture: &RgbImage) -> (usize, usize) {
    (picture.width() as usize, picture.height() as usize)
}

/// What is wrong with a mask beside its picture, whose size is known where that could be read.
pub(crate) fn mask_errors(
    mask: &LabelMask,
    path: &Path,
    picture_px: Option<(usize, usize)>,
    classes: u16,
) -> impl Iterator<Item = Error> {
    let mask_px = mask.size();
    let size = picture_px.filter(|&size| size != mask_px);
    let size = size.map(|picture_px| Error::MaskSize {
        path: path.to_owned(),
        mask_px,
        picture_px,
    });
    let mut ids = mask.labels().iter().copied();
    let id = ids.find(|&id| id > classes && id != IGNORE);
    let id = id.map(|id| Error::IdOutOfRange {
        path: path.to_owned(),
        id,
        classes,
    });
    size.into_iter().chain(id)
}
