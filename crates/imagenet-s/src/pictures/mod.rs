//! Files into pixels and label masks.

mod jpeg;
pub(crate) mod jpeg_structure;
pub(crate) mod mask_png;
pub(crate) mod oddity;
pub(crate) mod picture;
pub(crate) mod sound;

pub use mask_png::{
    decode_mask, read_mask, read_written_mask, remove_torn_masks, write_indexed_mask, write_mask,
};
pub use oddity::Oddity;
pub use picture::{OddPictures, decode_picture, picture_size, read_picture};
