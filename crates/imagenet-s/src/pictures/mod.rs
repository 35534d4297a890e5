//! Files into pixels and label masks.

pub(crate) mod decoding;
pub(crate) mod format;
mod jpeg;
pub(crate) mod jpeg_structure;
mod layers;
pub(crate) mod mask_png;
pub(crate) mod oddity;
pub(crate) mod orientation;
pub(crate) mod picture;
mod size;
pub(crate) mod sound;
mod stretch;
mod tiff;
pub(crate) mod traits;

pub use decoding::{Background, Decoding};
pub use mask_png::{
    decode_mask, read_mask, read_written_mask, remove_torn_masks, write_indexed_mask, write_mask,
};
pub use oddity::Oddity;
pub use orientation::Orienting;
pub use picture::{OddPictures, decode_picture, read_picture};
pub use stretch::Stretch;
pub use traits::TraitCounts;
