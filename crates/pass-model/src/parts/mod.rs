//! What methods are made of.

pub mod adversaries;
pub mod centre;
pub mod clusters;
pub mod encoder;
pub mod momentum_encoder;
pub mod momentum_pair;
pub mod overlap;
pub mod propagation;
pub mod prototypes;
pub mod queue;
pub mod ring;
pub mod shuffle;
pub mod sinkhorn;
