//! Turns files into pixels and label masks: the ImageNet-S dataset, any folder of pictures, and
//! the augmented views.
//!
//! This is the only crate of the workspace that spells a directory name. It knows no network; it
//! knows tensors only behind the feature `burn`.
//!
//! ```
//! use imagenet_s::{Dataset, Loader, OddPictures, Sample, Split, read_mask, read_picture};
//!
//! # fn main() -> Result<(), imagenet_s::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path();
//! # for split in [Split::Train, Split::Validation] {
//! #     let class = split.pictures(root).join("lemon");
//! #     std::fs::create_dir_all(&class).unwrap();
//! #     image::RgbImage::new(3, 2).save(class.join("1.png")).unwrap();
//! # }
//! # let mask = imagenet_s::LabelMask::new(3, 2, vec![0, 1, 1, 0, 0, 1000]).unwrap();
//! # let masks = Split::Validation.masks(root).unwrap();
//! # imagenet_s::write_mask(&masks.join("lemon/1.png"), &mask)?;
//! let dataset = Dataset::open(root)?;
//! let samples = dataset.samples(Split::Validation).to_vec();
//! let read = |sample: &Sample| {
//!     let picture = read_picture(&sample.picture, OddPictures::Refuse)?;
//!     let mask = sample.mask.as_deref().map(read_mask).transpose()?;
//!     Ok((picture, mask))
//! };
//! for pair in Loader::new(samples, 2, 16, read) {
//!     let (picture, mask) = pair?;
//!     println!("{} x {} pixels, masks: {}", picture.width(), picture.height(), mask.is_some());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The tour
//!
//! | what | where |
//! |---|---|
//! | a dataset on disk, its splits and samples | [`Dataset`], [`Split`], [`Sample`] |
//! | pictures and masks of your own | [`Dataset::open_pictures`], [`Dataset::with_pairs`] |
//! | the names of its folders | [`layout`] |
//! | a picture, a label mask | [`read_picture`], [`read_mask`], [`write_mask`] |
//! | masks that viewers show in colours | [`write_indexed_mask`] |
//! | CMYK and misnamed pictures | [`OddPictures`] |
//! | EXIF orientation, 16 bits, bands, transparency | [`Decoding`] |
//! | which files of a folder are pictures | [`Selection`] |
//! | the subsets of ImageNet-S and their classes | [`Subset`], [`categories`], [`classes`](categories::classes) |
//! | archives, sums, counts, terms of use | [`Manifest`] |
//! | all pictures in one file, for slow disks | [`pack`], [`Dataset::with_pack`] |
//! | reading ahead on several threads, in order | [`Loader`] |
//! | multi-crop, overlap grids, resizing | [`views`] |
//! | lines that outlive their reader | [`terminal`] |
#![cfg_attr(
    feature = "burn",
    doc = "| a batch on a device | [`pictures_to_tensor`] |"
)]
#![cfg_attr(
    feature = "tools",
    doc = "| trees from ImageNet-1k and the archives | [`prepare`] |\n| what a dataset consists of | [`mod@statistics`] |\n| everything that is wrong with a tree | [`doctor`] |\n| predictions for the test server | [`submission`] |"
)]
//! | everything that can be wrong with a file | [`Error`] |

pub mod categories;
#[cfg(feature = "tools")]
pub mod checksums;
mod dataset;
#[cfg(feature = "tools")]
pub mod doctor;
mod error;
pub mod layout;
mod loader;
pub mod manifest;
pub mod pack;
mod pictures;
#[cfg(feature = "tools")]
pub mod prepare;
mod progress;
#[cfg(feature = "tools")]
pub mod statistics;
#[cfg(feature = "tools")]
pub mod submission;
mod subset;
#[cfg(feature = "synthetic")]
pub mod synthetic;
#[cfg(feature = "burn")]
mod tensor;
pub mod terminal;
pub mod views;

pub use dataset::{Dataset, LeftOut, OtherFiles, Sample, Selection};
pub use error::Error;
pub use layout::Split;
pub use loader::{Loader, LoaderStats};
pub use luss_metrics::LabelMask;
pub use manifest::Manifest;
pub use pictures::{
    Background, Decoding, OddPictures, Oddity, Orienting, Stretch, TraitCounts, decode_mask,
    decode_picture, read_mask, read_picture, read_written_mask, remove_torn_masks,
    write_indexed_mask, write_mask,
};
pub use progress::{Progress, Watcher};
pub use subset::{Subset, UnknownSubset};
#[cfg(feature = "burn")]
pub use tensor::pictures_to_tensor;
