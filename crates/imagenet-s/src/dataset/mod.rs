//! Which pictures and masks there are: trees of ImageNet-S, and folders of one's own.

mod custom;
pub(crate) mod sample;
pub(crate) mod samples;
pub(crate) mod scan;
pub(crate) mod tour;

pub use sample::Sample;
pub use samples::Dataset;
pub use tour::LeftOut;
