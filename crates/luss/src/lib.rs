//! What the program `luss` is made of, for programs of one's own around the trainer: the command line of a
//! run, its device and ranks, the end by an exit code, the table of results.
//!
//! ```text
//! luss run                                  # everything, embedded data
//! luss run --data DIR                       # an ImageNet-S tree
//! luss step pretrain --run runs/mine        # one step of a run
//! ```

mod arguments;
mod backbone_file;
mod classes;
mod device;
pub mod features;
mod hub;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod kept_kernels;
#[cfg(feature = "flex")]
mod kept_memory;
pub mod names;
mod numbers;
mod outcome;
mod pipeline;
mod rank_threads;
mod ranks;
mod refusal;
pub mod segment;
mod table;

pub use arguments::{Arguments, RankedArguments};
pub use backbone_file::{BackboneFile, LoadedBackbone};
pub use classes::Classes;
pub use device::pick_device;
pub use hub::HubFile;
pub use numbers::{share, threads, times};
pub use outcome::{EXIT_CODES, STOPPED, outcome, tell_weights};
pub use pipeline::PipelineArguments;
pub use refusal::OrRefuse;
pub use table::{metrics_table, percent};
