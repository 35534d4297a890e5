//! What the training binaries share: the command line, the device, the table of results.
//!
//! Each binary is one step of the method, on a run directory:
//!
//! ```text
//! cargo run --release --example pipeline                      # everything, embedded data
//! cargo run --release --example pipeline -- --data DIR        # an ImageNet-S tree
//! cargo run --release --example pretrain -- --run runs/mine   # one step of a run
//! ```

mod arguments;
mod device;
pub mod features;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod kept_kernels;
#[cfg(feature = "flex")]
mod kept_memory;
mod outcome;
mod rank_threads;
mod ranks;
mod table;

pub use arguments::{Arguments, RankedArguments, share, times};
pub use device::pick_device;
pub use outcome::{STOPPED, outcome, tell_weights};
pub use table::metrics_table;
