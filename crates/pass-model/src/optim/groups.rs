//! Parameters that the optimiser treats apart from the others.

use burn::module::ParamId;

/// Some parameters of a network, and what is different about them.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGroup {
    /// The parameters.
    pub parameters: Vec<ParamId>,
    /// Their learning rate.
    pub rate: GroupRate,
    /// Whether they decay.
    pub weight_decay: bool,
    /// Whether their gradients are scaled by the trust ratio of LARS; without effect elsewhere.
    pub trust_ratio: bool,
}

/// The learning rate of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GroupRate {
    /// A multiple of the scheduled rate.
    Scheduled(f64),
    /// A multiple of the base rate, the same in all iterations.
    Constant(f64),
}

impl ParameterGroup {
    /// These parameters, as yet treated as all others are.
    pub fn new(parameters: Vec<ParamId>) -> Self {
        Self {
            parameters,
            rate: GroupRate::Scheduled(1.0),
            weight_decay: true,
            trust_ratio: true,
        }
    }
}
