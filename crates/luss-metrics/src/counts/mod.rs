//! Exact pixel counts: of one picture, and of all of them.

pub(crate) mod areas;
pub(crate) mod bits;
pub(crate) mod checked;
mod confusion;
pub(crate) mod image_counts;
pub(crate) mod label_set;
pub(crate) mod pair_hash;
pub(crate) mod pair_table;
pub(crate) mod runs;

pub use areas::{Areas, ClassAreas};
pub use confusion::Confusion;
pub use image_counts::ImageCounts;
