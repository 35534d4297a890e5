//! Folders of masks and of attention maps (feature `folder`; TIFF with the feature `tiff`).
//!
//! ```no_run
//! use luss_metrics::{Evaluator, Protocol, folder};
//! use std::path::Path;
//!
//! let truth = folder::Tree::of_masks(Path::new("masks"))?;
//! let predictions = folder::Tree::of_masks(Path::new("predictions"))?;
//! let pairing = folder::Pairing::new(&truth, &predictions);
//! assert!(pairing.problems().is_empty());
//!
//! let mut evaluator = Evaluator::new(Protocol::new(50));
//! for (truth, prediction) in pairing.files() {
//!     let (truth, _) = folder::read_mask(truth)?;
//!     let (prediction, _) = folder::read_mask(prediction)?;
//!     evaluator.add(&prediction, &truth)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | item |
//! |---|---|
//! | the masks of a folder, or of a COCO file | [`open_masks`], [`MaskSource`], [`Tree`], [`MaskFiles`] |
//! | which prediction belongs to which truth | [`Pairing`], [`read_pairs`] |
//! | read a mask: PNG, TIFF, `.npy` | [`read_mask`], [`decode_mask`], [`MaskFormat`] |
//! | read colours, or two values | [`MaskReader`], [`ColorMap`] |
//! | write a mask as `R + 256·G`, as a palette | [`encode_mask`], [`encode_indexed_mask`] |
//! | read an attention map | [`read_npy`], [`decode_npy`], [`ScoreMap`] |
//! | what can be wrong with a file, with the remedy | [`FileError`], [`Problem`] |
//!
//! No file makes these functions panic. A mask has at most [`MAX_PIXELS`] pixels; of an image or an array
//! nothing is allocated that the file's length cannot fill, and of run lengths what the picture's size
//! asks for.

mod coco;
mod colors;
mod error;
mod format;
mod npy;
mod pair_list;
mod pairing;
mod png;
mod problem;
mod reader;
mod source;
#[cfg(feature = "tiff")]
mod tiff;
mod tree;

pub use colors::{ColorMap, Rgb, VOC_VOID, voc_color};
pub use error::FileError;
pub use format::MaskFormat;
pub use npy::{ScoreMap, decode_npy, read_npy};
pub use pair_list::read_pairs;
pub use pairing::{Pairing, PairingRule};
pub use png::{
    encode_indexed_mask, encode_mask,
    header::{MAX_DEFLATE_RATIO, MAX_PIXELS},
};
pub use problem::{Problem, ProblemKind};
pub use reader::{MaskReader, decode_mask, read_mask};
pub use source::{MaskSource, Side, open_masks};
pub use tree::{MaskFiles, Tree};
