//! A finished run on other pictures: a [`Model`] is that of a run, or of the file that holds all of it.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use imagenet_s::{OddPictures, read_picture, write_mask};
//! use pass_train::apply::Model;
//! use std::path::Path;
//!
//! let mut model = Model::of_run(Path::new("runs/mine"), Device::default())?;
//! let picture = read_picture(Path::new("cat.jpg"), OddPictures::Refuse)?;
//! let sizing = model.about().sizing();
//! let labelled = model.label(&[sizing.prepare(0, &picture)], &sizing)?;
//! write_mask(Path::new("cat.png"), &labelled[0].mask)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod components;
mod confidence;
mod file;
pub(crate) mod fine_tuned;
mod model;
mod tiles;
mod upsampled_argmax;

pub use file::export_model;
pub use fine_tuned::{Labelled, Sizing, TILE};
pub use model::{About, Kind, Model, names_of};
pub use tiles::LEAST_CELLS;

pub use crate::inference::Prepared;
