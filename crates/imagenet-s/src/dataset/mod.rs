//! Which pictures and masks there are: trees of ImageNet-S, and folders of one's own.

mod custom;
mod other_files;
pub(crate) mod sample;
pub(crate) mod samples;
pub(crate) mod scan;
mod selection;
pub(crate) mod tour;

pub use other_files::OtherFiles;
pub use sample::Sample;
pub use samples::Dataset;
pub use selection::Selection;
pub use tour::LeftOut;
