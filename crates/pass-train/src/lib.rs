//! Turns a run file into checkpoints: the steps of PASS as resumable runs.
//!
//! | Step | Function | Leaves behind |
//! |---|---|---|
//! | before all: the data | [`Context::open`] | `done/check_data.json` |
//! | 1 representation learning | [`step::pretrain::pretrain`] | `pretrain/weights.safetensors` |
//! | 2.1 pixel attention | [`step::attention::tune_attention`] | `tune_attention/weights.safetensors` |
//! | 2.2 clustering | [`step::cluster::cluster`] | `cluster/centroids.npy` |
//! | 2.3 threshold | [`step::threshold::sweep_threshold`] | `threshold.json` |
//! | 2.4 pseudo labels | [`step::labels::generate_labels`] | `labels/`, `pseudo_labels/` |
//! | 3 fine-tuning | [`step::finetune::finetune`] | `finetune/weights.safetensors` |
//! | 4 inference | [`step::predict::predict`] | `fine_tuned/` |
//! | k-NN protocol | [`step::distance::distance_matching`] | `distance_matching/` |
//! | weights from and for PyTorch | [`step::weights`] | in place of a step's own |
//! | the numbers | [`step::evaluate::evaluate`] | `metrics.json`, `match.json` |
//! | all of it | [`pipeline::run`] | and `report.html` |
//!
//! A [`RunFile`] decides the result, a [`RunDir`] holds it, a [`Context`] joins both with the
//! pictures and a device. This is the only crate that times, saves or resumes a step.

mod atlas_data;
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
pub use error::{Difference, Error, quoted};
pub use progress::{Progress, Verbosity};
pub use run_dir::RunDir;
pub use run_file::RunFile;
pub use step::Step;
pub use stop::StopRequest;
