//! Views: what the networks see of a picture.
//!
//! | paper | here |
//! |---|---|
//! | multi-crop augmentation of the pre-training | [`multi_crop`](multi_crop()) |
//! | the augmentations of other methods of pre-training | [`Recipe`] |
//! | overlap of two views, for pixel-to-pixel alignment (P2P) | [`overlap_grids`] |
//! | picture and mask under one crop, for the fine-tuning | [`PairedCrop`] |
//! | whole pictures, for clustering, labels and prediction | [`resize_shorter`], [`center_crop`] |
//!
//! The published method was trained with Pillow's 8-bit arithmetic (through torchvision). Resizing,
//! colour and blur repeat that arithmetic exactly, because a network trained on one rounding rule
//! scores differently under another. Every random choice comes from a [`Stream`] keyed by seed,
//! epoch, picture and purpose, so that loading order, thread count and resuming change nothing.

pub mod blur;
pub mod color;
pub mod crop;
pub mod evaluation;
pub mod multi_crop;
pub mod normalize;
pub mod overlap_grid;
pub mod paired;
pub mod recipe;
pub mod resize;
pub mod stream;
mod taps;

#[cfg(test)]
mod test_pictures;

pub use color::ColorJitterConfig;
pub use crop::{CropFrame, CropShapes, resized_crop};
pub use evaluation::{center_crop, resize_shorter};
pub use multi_crop::{
    Crop, CropFilter, CropGroup, InvalidMultiCrop, MultiCropConfig, multi_crop, recolor,
};
pub use normalize::{MULTI_CROP, Normalization, PLAIN};
pub use overlap_grid::{OVERLAP_GRID, overlap_grids};
pub use paired::{PairedCrop, paired_crop};
pub use recipe::Recipe;
pub use resize::{Region, resize_bilinear, resize_mask, resize_picture, resize_plane};
pub use stream::{Purpose, Stream, permutation};
pub use taps::Filter;
