//! The metrics: one a file.

pub(crate) mod boundary;
pub(crate) mod f_measure;
pub(crate) mod image_accuracy;
mod image_score;
pub(crate) mod iou;
mod nmi;
pub(crate) mod object_size;
pub(crate) mod pixel_accuracy;
mod score;

pub use boundary::{boundary_map, boundary_map_transparent, boundary_thickness};
pub use image_score::{ImageScore, image_miou};
pub use iou::class_iou;
pub use nmi::{adjusted_rand_index, cluster_accuracy, normalized_mutual_information};
pub use object_size::SizeGroup;
pub use score::Score;
