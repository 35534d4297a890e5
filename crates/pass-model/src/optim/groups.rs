//! Parameters that the optimiser treats apart from the others.

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};

/// Some parameters of a network, and what is different about them.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGroup {
    /// The parameters.
    pub parameters: Vec<ParamId>,
    /// Their learning rate.
    pub rate: GroupRate,
    /// Whether they decay.
    pub weight_decay: bool,
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
        }
    }
}

/// All trained parameters of a module.
pub fn parameters_of<M: Module>(module: &M) -> Vec<ParamId> {
    let mut found = Trained::default();
    module.visit(&mut found);
    found.ids.into_iter().map(|(id, _)| id).collect()
}

/// The trained parameters of rank 1: biases, and scales and shifts of norms.
pub fn vectors_of<M: Module>(module: &M) -> Vec<ParamId> {
    let mut found = Trained::default();
    module.visit(&mut found);
    let vectors = found.ids.into_iter().filter(|(_, rank)| *rank == 1);
    vectors.map(|(id, _)| id).collect()
}

/// Trained parameters with their ranks.
#[derive(Default)]
struct Trained {
    ids: Vec<(ParamId, usize)>,
}

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if parameter.is_require_grad() {
            self.ids.push((parameter.id, D));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{heads::ProjectionHeadConfig, init::WeightStream, momentum_encoder::frozen_copy};
    use burn::tensor::Device;

    #[test]
    fn buffers_and_frozen_parameters_are_in_no_group() {
        let config = ProjectionHeadConfig {
            features: 3,
            hidden: 2,
            embedding: 2,
        };
        let device = Device::default().autodiff();
        let head = config.init(&mut WeightStream::new(1), &device);
        assert_eq!(parameters_of(&head).len(), 6); // two weights, two biases, scale and shift
        assert_eq!(vectors_of(&head).len(), 4);
        assert_eq!(parameters_of(&frozen_copy(&head)), []);
    }
}
