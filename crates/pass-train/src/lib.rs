//! Turns a run file into checkpoints: the steps of PASS as resumable runs.
//!
//! [`Step`] lists the steps, [`pipeline::run`] runs all of them. [`step::weights`] takes weights from
//! PyTorch in place of a step's own. [`apply`] takes a finished run to other pictures.
//!
//! A [`RunFile`] decides the result, a [`RunDir`] holds it, a [`Context`] joins both with the
//! pictures and a device. This is the only crate that times, saves or resumes a step.

pub mod apply;
mod checkpoints;
pub mod controls;
mod error;
mod gradients;
pub mod health;
mod inference;
mod loss_scale;
pub mod pipeline;
mod probe;
mod ranks;
pub mod report;
mod run;
pub mod run_file;
pub mod step;
mod stop;
mod training;
mod training_log;
mod training_plan;
mod training_state;
mod view_batch;
mod watch;
mod whole_pictures;
mod without_effect;

pub use error::{Difference, Error, WhyRefused, quoted};
pub use report::cluster_report;
pub use run::{
    check_data::Faults, checksums::sum_of, context::Context, dir::RunDir, starts::Start,
};
pub use run_file::RunFile;
pub use step::Step;
pub use stop::StopRequest;
pub use watch::{
    event_file,
    findings::Finding,
    log,
    mask_counts::MaskCounts,
    progress::{Progress, Verbosity},
    terminal_view,
    verdict::{CategoryUse, Grade, RunVerdict},
};
