//! Turns a run file into checkpoints: the steps of PASS as resumable runs.
//!
//! [`Step`] lists the steps, [`pipeline::run`] runs all of them. [`step::weights`] takes weights from
//! PyTorch in place of a step's own.
//!
//! A [`RunFile`] decides the result, a [`RunDir`] holds it, a [`Context`] joins both with the
//! pictures and a device. This is the only crate that times, saves or resumes a step.

mod atlas_data;
pub mod atomic;
mod check_data;
mod checkpoints;
mod checksums;
pub mod cluster_report;
mod context;
pub mod controls;
mod cursor;
mod error;
pub mod event_file;
mod findings;
mod gradients;
pub mod health;
mod inference;
pub mod log;
mod log_groups;
mod loss_scale;
mod mask_paths;
pub mod pipeline;
mod probe;
mod progress;
mod ranks;
pub mod report;
mod report_data;
mod run_dir;
pub mod run_file;
mod run_lock;
mod run_pictures;
mod run_settings;
mod run_sums;
pub mod step;
mod stop;
pub mod terminal_view;
mod training;
mod training_log;
mod training_plan;
mod training_state;
mod upsampled_argmax;
mod view_batch;
mod without_effect;

pub use check_data::Faults;
pub use context::Context;
pub use error::{Difference, Error, WhyRefused, quoted};
pub use progress::{Progress, Verbosity};
pub use run_dir::RunDir;
pub use run_file::RunFile;
pub use step::Step;
pub use stop::StopRequest;
