//! A momentum encoder: a second encoder that follows the trained one slowly and gives it its targets
//! (He et al. 2020, MoCo; with PixPro's schedule). It is any module.

use std::{collections::BTreeMap, f64::consts::PI};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};

/// How much of itself the momentum encoder keeps in an iteration: from `base` to 1 by half a cosine,
/// `1 - (1 - base)·(cos(π k / K) + 1) / 2` in iteration `k` of `K`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumSchedule {
    /// Momentum of the first iteration, in `0..=1`.
    pub base: f64,
    /// Iterations of the whole training.
    pub total: u64,
}

impl MomentumSchedule {
    /// Momentum of an iteration, counted from 0; 1 from iteration `total` on.
    pub fn momentum(&self, iteration: u64) -> f64 {
        if iteration >= self.total {
            return 1.0;
        }
        let progress = iteration as f64 / self.total as f64;
        1.0 - (1.0 - self.base) * ((PI * progress).cos() + 1.0) / 2.0
    }
}

/// A copy of a module with the same values and no gradients.
pub fn frozen_copy<M: Module>(module: &M) -> M {
    module.clone().map(&mut Constant)
}

/// Moves every parameter of a frozen copy towards its example:
/// `θ ← momentum·θ + (1 - momentum)·example`. Moving statistics of norms stay.
///
/// Once in each iteration, before the forward pass.
pub fn follow<M: Module>(copy: &mut M, example: &M, momentum: f64) {
    *copy = towards(copy.clone(), example, momentum);
}

/// Turns parameters into constants of their own.
///
/// `no_grad` would not do: clones share a weight that has not been drawn yet, and freezing one of
/// them would freeze the other.
struct Constant;

impl ModuleMapper for Constant {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // A leaf keeps its gradient when it is detached.
        let constant = param.val().detach().set_require_grad(false);
        Param::initialized(param.id, constant)
    }
}

/// A module whose parameters have moved towards those of an example; buffers stay.
fn towards<M: Module>(module: M, example: &M, momentum: f64) -> M {
    let mut examples = Examples::default();
    example.visit(&mut examples);
    module.map(&mut Follower {
        examples: examples.values,
        way: Vec::new(),
        momentum,
    })
}

/// Whether a field is a moving statistic of a norm.
fn is_buffer(way: &[String]) -> bool {
    let last = way.last().map(String::as_str);
    matches!(last, Some("running_mean" | "running_var"))
}

/// Parameters by path, as vectors.
#[derive(Default)]
struct Examples {
    way: Vec<String>,
    values: BTreeMap<Vec<String>, Tensor<1>>,
}

impl ModuleVisitor for Examples {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.way.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.way.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !is_buffer(&self.way) {
            let value = param.val().detach().reshape([-1]);
            self.values.insert(self.way.clone(), value);
        }
    }
}

struct Follower {
    examples: BTreeMap<Vec<String>, Tensor<1>>,
    way: Vec<String>,
    momentum: f64,
}

impl ModuleMapper for Follower {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.way.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.way.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(example) = self.examples.remove(&self.way) else {
            return param;
        };
        let own = param.val().detach();
        let example = example.reshape(own.dims());
        let moved = own * self.momentum + example * (1.0 - self.momentum);
        Param::initialized(param.id, moved.detach())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backbone::{Network, ResNet, ResNetConfig},
        init::WeightStream,
        norm::{BatchNormConfig, NormMode},
    };
    use burn::tensor::Device;
    use golden::assert_near;

    fn net(seed: u64, device: &Device) -> ResNet {
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        config.init_from(&mut WeightStream::new(seed), device)
    }

    /// By the formula, computed outside.
    #[test]
    fn momentum_rises_from_its_base_to_one() {
        for (base, expected) in [
            (0.9, [0.9, 0.9146446609, 0.95, 0.9853553391, 1.0, 1.0]),
            (0.99, [0.99, 0.991464466, 0.995, 0.998535534, 1.0, 1.0]),
            (0.996, [0.996, 0.9965857864, 0.998, 0.9994142136, 1.0, 1.0]),
        ] {
            let schedule = MomentumSchedule { base, total: 4 };
            for (iteration, expected) in expected.into_iter().enumerate() {
                assert!((schedule.momentum(iteration as u64) - expected).abs() < 1e-9);
            }
        }
    }

    /// What the targets are when a parameter goes from 1 to 0.8 to 0.5: of methods whose encoder follows
    /// before each step, and of those where it follows behind the update. Computed outside.
    #[test]
    fn the_two_orders_differ_by_one_value_of_the_schedule() {
        let device = Device::default();
        let net = |value: f32| {
            let mut norm = BatchNormConfig::new(1).init(&device);
            norm.gamma = norm.gamma.map(|gamma| gamma.map(|gamma| gamma * value));
            norm
        };
        let schedule = MomentumSchedule {
            base: 0.9,
            total: 4,
        };
        let trained = [1.0, 0.8, 0.5, 0.6].map(net);
        for (behind, expected) in [
            (0, [1.0, 0.982_928_93, 0.958_782_5]),
            (1, [1.0, 0.98, 0.939_029_4]),
        ] {
            let mut copy = frozen_copy(&trained[0]);
            for (step, expected) in expected.into_iter().enumerate() {
                if behind == 0 {
                    follow(&mut copy, &trained[step], schedule.momentum(step as u64));
                }
                let target = copy.gamma.as_ref().unwrap().val();
                assert_near(target, [expected], [1e-6, 0.0]);
                if behind == 1 {
                    follow(
                        &mut copy,
                        &trained[step + 1],
                        schedule.momentum(step as u64),
                    );
                }
            }
        }
    }

    #[test]
    fn parameters_follow_by_a_share_and_moving_statistics_stay() {
        let device = Device::default().autodiff();
        let (first, second) = (net(1, &device), net(2, &device));
        let mut copy = frozen_copy(&first);
        copy.bn1.running_mean = copy.bn1.running_mean.map(|mean| mean + 3.0);
        follow(&mut copy, &second, 0.75);
        let [own, before, example] =
            [&copy, &first, &second].map(|net| net.layer3[0].conv1.weight.val());
        let expected = before.inner() * 0.75 + example.inner() * 0.25;
        assert_near(own.inner(), expected.into_data(), [0.0, 1e-6]);
        let mean = copy.bn1.running_mean.val().inner();
        assert_near(mean, [3.0f32, 3.0], [0.0, 1e-6]);
    }

    #[test]
    fn no_gradient_reaches_the_copy() {
        let device = Device::default().autodiff();
        let trained = net(1, &device);
        let mut copy = frozen_copy(&trained);
        follow(&mut copy, &trained, 0.5);
        let pictures = Tensor::ones([2, 3, 32, 32], &device);
        let target = copy.forward(pictures, NormMode::Batch).into_last();
        assert!(
            trained.conv1.weight.val().is_require_grad(),
            "the trained one learns"
        );
        assert!(!target.is_require_grad());
        assert!(!copy.conv1.weight.is_require_grad());
    }
}
