//! Folders of PNG masks and `.npy` attention maps (feature `folder`).
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
//! | find the masks below a folder | [`Tree`] |
//! | which prediction belongs to which truth | [`Pairing`] |
//! | read a mask: `R + 256·G`, 8- or 16-bit grey, palette | [`read_mask`], [`decode_mask`], [`MaskFormat`] |
//! | write a mask as `R + 256·G`, as a palette | [`encode_mask`], [`encode_indexed_mask`] |
//! | read an attention map | [`read_npy`], [`decode_npy`], [`ScoreMap`] |
//! | what can be wrong with a file, with the remedy | [`FileError`], [`Problem`] |
//!
//! No input makes these functions panic or take memory without bound: a mask has at most
//! [`MAX_PIXELS`] pixels, and nothing is allocated that the file's length cannot fill.

mod error;
mod fast_png;
mod format;
mod header;
mod held_bytes;
mod mask_png;
mod npy;
mod pairing;
mod problem;
mod tree;

pub use error::FileError;
pub use format::MaskFormat;
pub use header::MAX_PIXELS;
pub use mask_png::{
    MaskReader, decode_mask, encode_indexed_mask, encode_mask, mask_format, read_mask,
};
pub use npy::{ScoreMap, decode_npy, read_npy};
pub use pairing::{Pairing, PairingRule};
pub use problem::{Problem, ProblemKind};
pub use tree::Tree;
