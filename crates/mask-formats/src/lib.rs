//! Turns label masks into what annotation tools and training programs read.
//!
//! Pure functions: a mask in, bytes, text or records out; writers take the records of many pictures in turn and
//! hold none of them. Nothing here knows a tensor, a model or a folder.
//!
//! ```
//! use luss_metrics::LabelMask;
//! use mask_formats::{Per, Regions, coco};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mask = LabelMask::new(3, 2, vec![0, 1, 1, 0, 0, 2])?;
//! let regions = Regions::of(&mask, Per::Component);
//! let annotations = coco::annotations(&regions, coco::Segmentation::Rle);
//!
//! let image = coco::Image { file_name: "a.jpg".into(), width: 3, height: 2 };
//! let names = ["cat".to_string(), "dog".to_string()];
//! let mut file = Vec::new();
//! let mut writer = coco::CocoWriter::begin(&mut file, "two animals", &names, &[image])?;
//! writer.push(&annotations)?;
//! assert_eq!(writer.finish()?, 2);
//! # Ok(())
//! # }
//! ```
//!
//! | what | where |
//! |---|---|
//! | the pixels of an annotation: a category, or a connected part of it | [`Regions`], [`Per`] |
//! | COCO's JSON, with run lengths or polygons | [`coco`] |
//! | CVAT's "Segmentation mask 1.1" | [`cvat`] |
//! | tasks of Label Studio | [`label_studio`] |
//! | PASCAL VOC | [`voc`] |
//! | YOLO segmentation | [`yolo`] |
//! | a grey PNG of ids | [`gray_png`] |
//! | run lengths, polygons and brush strokes themselves | [`rle`], [`outline`], [`brush`] |
//!
//! Ids of categories count from 1, as in the masks; a list of names begins with that of category 1.

pub mod brush;
pub mod coco;
pub mod cvat;
mod json_array;
pub mod label_studio;
pub mod outline;
mod png;
mod regions;
pub mod rle;
pub mod voc;
pub mod yolo;

pub use png::gray_png;
pub use regions::{Per, Regions};
