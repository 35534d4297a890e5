//! What a run tells while it is under way: log, TensorBoard, bars, the terminal, warnings.

pub mod event_file;
pub(crate) mod findings;
pub mod log;
pub(crate) mod log_groups;
pub(crate) mod mask_counts;
pub(crate) mod progress;
pub mod terminal_view;
pub(crate) mod verdict;
