//! The optimiser of a network, with groups of parameters and numbers that change with the iteration.

use std::path::Path;

use burn::{
    grad_clipping::GradientClipping,
    module::{Module, ParamGroup},
    optim::{GradientsParams, LearningRate, ModuleOptimizer, Optimizer},
    store::RecordError,
    tensor::{Device, Tensor},
};

use super::{
    AdamwConfig, Algorithm, GroupRate, LarsConfig, LarsExclusion, OptimConfig, ParameterGroup,
    Rates, SgdConfig, varying::Varying,
};

/// The optimiser of a whole network.
#[derive(Clone)]
pub struct NetworkOptimizer {
    pub(super) optimizer: ModuleOptimizer,
    weight_decay: Varying,
    base_lr: Varying,
}

impl OptimConfig {
    /// The optimiser of a network of which some parameters are treated apart; of two groups with one
    /// parameter the last counts.
    pub fn init(&self, groups: &[ParameterGroup]) -> NetworkOptimizer {
        let Self {
            weight_decay,
            momentum,
            lr_in_buffer,
            ..
        } = *self;
        let lars = |config: LarsConfig| LarsConfig {
            weight_decay,
            momentum,
            lr_in_buffer,
            ..config
        };
        match self.algorithm {
            Algorithm::Lars => self.of_lars(lars(LarsConfig::default()), groups),
            Algorithm::LarsExcludingNorms => {
                let config = LarsConfig {
                    exclude: LarsExclusion::BiasAndNorm,
                    ..LarsConfig::default()
                };
                self.of_lars(lars(config), groups)
            }
            Algorithm::LarsPixpro => self.of_lars(lars(LarsConfig::pixpro()), groups),
            Algorithm::Sgd => {
                let sgd = SgdConfig {
                    weight_decay,
                    momentum,
                    lr_in_buffer,
                };
                self.assembled(|decay| sgd.build_with(decay), groups)
            }
            Algorithm::Adamw => {
                let adamw = AdamwConfig {
                    beta_1: momentum,
                    ..AdamwConfig::default()
                };
                self.assembled(|decay| adamw.build_with(decay), groups)
            }
        }
    }

    fn of_lars(&self, lars: LarsConfig, groups: &[ParameterGroup]) -> NetworkOptimizer {
        self.assembled(|decay| lars.build_with(decay), groups)
    }

    /// `make` makes the optimiser of a tensor that decays so.
    fn assembled<O: Optimizer>(
        &self,
        make: impl Fn(Varying) -> O,
        groups: &[ParameterGroup],
    ) -> NetworkOptimizer {
        let weight_decay = Varying::new(self.weight_decay);
        let base_lr = Varying::new(self.base_lr);
        let clipping = self
            .clip_norm
            .map(|norm| GradientClipping::Norm(norm as f32));
        let mut optimizer = ModuleOptimizer::from(make(weight_decay.clone()));
        if let Some(clipping) = &clipping {
            optimizer = optimizer.with_grad_clipping(clipping.clone());
        }
        for group in groups {
            let decay = match group.weight_decay {
                true => weight_decay.clone(),
                false => Varying::new(0.0),
            };
            let own = AtRate {
                optimizer: make(decay),
                rate: group.rate,
                base: base_lr.clone(),
            };
            let parameters = ParamGroup::from_ids(group.parameters.clone());
            optimizer = optimizer.with_group(parameters, own, clipping.clone());
        }
        NetworkOptimizer {
            optimizer,
            weight_decay,
            base_lr,
        }
    }
}

impl NetworkOptimizer {
    /// The network after an update. Parameters without a gradient keep still, with their state.
    pub fn step<M: Module>(&mut self, rates: Rates, net: M, gradients: GradientsParams) -> M {
        self.weight_decay.set(rates.weight_decay);
        self.base_lr.set(rates.base_lr);
        self.optimizer.step(rates.lr, net, gradients)
    }

    /// Writes its state to a file.
    ///
    /// # Errors
    ///
    /// If the disk refuses it.
    pub fn save(&self, path: &Path) -> Result<(), RecordError> {
        self.optimizer.save(path)
    }
}

/// An optimiser whose rate is not that of the others.
#[derive(Clone)]
struct AtRate<O> {
    optimizer: O,
    rate: GroupRate,
    base: Varying,
}

impl<O: Optimizer> Optimizer for AtRate<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<O::State<D>>,
    ) -> (Tensor<D>, Option<O::State<D>>) {
        let lr = match self.rate {
            GroupRate::Scheduled(factor) => factor * lr,
            GroupRate::Constant(factor) => factor * self.base.get(),
        };
        self.optimizer.step(lr, weight, gradient, state)
    }

    fn to_device<const D: usize>(state: O::State<D>, device: &Device) -> O::State<D> {
        O::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{gradients, model};
    use golden::assert_near;

    const RATES: Rates = Rates {
        lr: 0.1,
        base_lr: 0.5,
        weight_decay: 0.2,
    };

    /// What the first step of plain descent does to the bias of a layer, with or without a group of its
    /// own; the bias itself and its gradient.
    fn first_step(config: &OptimConfig, own: Option<(GroupRate, bool)>) -> [Tensor<1>; 3] {
        let mut net = model();
        net.bias = net
            .bias
            .map(|bias| bias.map(|bias| (bias.inner() + 1.0).autodiff().require_grad()));
        let bias = net.bias.clone().unwrap();
        let group = own.map(|(rate, weight_decay)| ParameterGroup {
            parameters: vec![bias.id],
            rate,
            weight_decay,
        });
        let gradients = gradients(&net, 0);
        let gradient = gradients.get::<1>(bias.id).unwrap();
        let mut optimizer = config.init(group.as_slice());
        let after = optimizer.step(RATES, net, gradients);
        let change = after.bias.unwrap().val().inner() - bias.val().inner();
        [change, bias.val().inner(), gradient]
    }

    fn sgd() -> OptimConfig {
        OptimConfig {
            algorithm: Algorithm::Sgd,
            ..Default::default()
        }
    }

    #[test]
    fn a_group_has_a_rate_and_a_decay_of_its_own() {
        for (own, lr, decay) in [
            (None, 0.1, 0.2),
            (Some((GroupRate::Scheduled(3.0), true)), 0.3, 0.2),
            (Some((GroupRate::Scheduled(3.0), false)), 0.3, 0.0),
            (Some((GroupRate::Constant(0.5), true)), 0.25, 0.2),
        ] {
            let [change, bias, gradient] = first_step(&sgd(), own);
            let expected = (gradient + bias * decay) * -lr;
            assert_near(change, expected.into_data(), [1e-5, 1e-6]);
        }
    }

    #[test]
    fn the_gradient_of_each_tensor_is_shortened_by_itself() {
        let config = OptimConfig {
            clip_norm: Some(0.25),
            ..sgd()
        };
        for own in [None, Some((GroupRate::Scheduled(1.0), false))] {
            let decay = if own.is_none() { 0.2 } else { 0.0 };
            let [change, bias, gradient] = first_step(&config, own);
            let norm = gradient.clone().square().sum().sqrt().into_scalar::<f32>();
            assert!(norm > 0.25, "{norm}");
            let expected = (gradient * (0.25 / norm) + bias * decay) * -0.1;
            assert_near(change, expected.into_data(), [1e-5, 1e-6]);
        }
    }

    /// Two steps by hand: g = 1 twice, μ = 0.9, rates 0.1 and 0.2, no decay.
    #[test]
    fn a_rate_in_the_buffer_is_that_of_its_gradient() {
        for (lr_in_buffer, expected) in [(false, 0.1 + 0.2 * 1.9), (true, 0.1 + 0.09 + 0.2)] {
            let config = SgdConfig {
                weight_decay: 0.0,
                momentum: 0.9,
                lr_in_buffer,
            };
            let one = || Tensor::<1>::ones([1], &Device::default());
            let optimizer = config.build();
            let (weight, state) = optimizer.step(0.1, one(), one(), None);
            let (weight, _) = optimizer.step(0.2, weight, one(), state);
            assert_near(weight, [1.0 - expected as f32], [1e-6, 0.0]);
        }
    }
}
