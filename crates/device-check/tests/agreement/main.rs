//! Layers, losses and optimisers of the networks, on the device under test and on the CPU.
//!
//! Shapes are tiny and few: a software GPU compiles and tunes kernels for every new one.

mod attention;
mod backbone;
mod guards;
mod heads;
mod itself;
mod kmeans;
mod losses;
mod norms;
mod optimisers;
mod precision;
mod prototypes;
mod resampling;
mod steps;
mod training;
mod transfer;

use pass_model::norm::NormMode;

/// Both statistics that a norm can use.
const MODES: [NormMode; 2] = [NormMode::Batch, NormMode::Moving];

/// Feature maps `[batch, channels, height, width]`: two crops of two pictures.
const MAPS: [usize; 4] = [4, 6, 5, 7];
