//! Turns processes into one trainer: sums over ranks that can be differentiated, carried by threads
//! of one process or by MPI.
//!
//! [`pass_model::group::Communicator`] says what ranks exchange; this crate has what brings it about. It is
//! the one library that names backends, because a new differentiable operation has to be written for
//! each of them; no other library depends on it.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{Device, Tensor};
//! use pass_model::group::Group;
//! use pass_ranks::ThreadRanks;
//!
//! let sums = ThreadRanks::run(3, |ranks| {
//!     let own = Tensor::from_floats([ranks.rank() as f32, 1.0], &Device::flex());
//!     ranks.sum_tensor(own).into_data().try_to_vec::<f32>().unwrap()
//! });
//! assert_eq!(sums, vec![vec![3.0, 3.0]; 3]);
//! # }
//! ```
//!
//! | ranks are | here |
//! |---|---|
//! | threads of one process, one for each of its devices | [`ThreadRanks`] |
//! | processes on one machine or several | `MpiRanks`, feature `mpi` |
//! | one process alone | [`pass_model::group::Group`] |

mod all_reduce;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

pub use all_reduce::{Transport, all_reduce};
#[cfg(feature = "mpi")]
pub use mpi::{MpiError, MpiRanks};
pub use threads::{Ending, ThreadRanks};
