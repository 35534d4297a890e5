//! Methods of pre-training: two steps of each agree with PyTorch in float64, and what they promise the
//! trainer.

mod contrast;
mod encoders;
#[path = "../common/hashed.rs"]
mod hashed;
mod promises;
mod two_steps;
mod without_negatives;
