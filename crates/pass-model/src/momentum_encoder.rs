//! The momentum encoder of PASS_p: a second encoder that follows the trained one slowly and gives it
//! its targets (He et al. 2020, MoCo; with PixPro's schedule).

use std::{collections::BTreeMap, f64::consts::PI};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};

use crate::{
    backbone::ResNet, heads::ConsistencyProjection, norm::NormMode, normalize::l2_normalize,
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

/// Backbone and projector without gradients.
///
/// Its norms use batch statistics and keep moving ones of their own; only parameters follow.
#[derive(Module, Debug)]
pub struct MomentumEncoder {
    /// Follows the backbone.
    pub backbone: ResNet,
    /// Follows the projector of the consistency loss.
    pub projection: ConsistencyProjection,
}

impl MomentumEncoder {
    /// An encoder that starts as a copy.
    pub fn copy_of(backbone: &ResNet, projection: &ConsistencyProjection) -> Self {
        Self {
            backbone: backbone.clone().map(&mut Constant),
            projection: projection.clone().map(&mut Constant),
        }
    }

    /// Moves every parameter towards its example: `θ ← momentum·θ + (1 - momentum)·example`.
    pub fn follow(&mut self, backbone: &ResNet, projection: &ConsistencyProjection, momentum: f64) {
        self.backbone = towards(self.backbone.clone(), backbone, momentum);
        self.projection = towards(self.projection.clone(), projection, momentum);
    }

    /// Targets of the consistency loss: unit vectors at each pixel, without a gradient.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, channels, height / stride, width / stride]`
    pub fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let features = self.backbone.forward(pictures, mode).into_last();
        l2_normalize(self.projection.forward(features, mode), 1).detach()
    }
}

/// Turns parameters into constants of their own.
///
/// `no_grad` would not do: clones share a weight that has not been drawn yet, and freezing one of
/// them would freeze the other.
struct Constant;

impl ModuleMapper for Constant {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().detach())
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
    use crate::{backbone::ResNetConfig, heads::ConsistencyProjectionConfig, init::WeightStream};
    use burn::tensor::Device;
    use golden::assert_near;

    fn parts(seed: u64, device: &Device) -> (ResNet, ConsistencyProjection) {
        let backbone = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        let projection = ConsistencyProjectionConfig {
            channels_in: 16,
            hidden: 5,
            channels_out: 3,
        };
        let projection = projection.init(&mut WeightStream::new(seed), device);
        (backbone.init(seed, device), projection)
    }

    #[test]
    fn momentum_rises_from_its_base_to_one() {
        let schedule = MomentumSchedule {
            base: 0.99,
            total: 4,
        };
        let expected = [0.99, 0.991_464_466, 0.995, 0.998_535_534, 1.0, 1.0];
        for (iteration, expected) in expected.into_iter().enumerate() {
            assert!((schedule.momentum(iteration as u64) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn parameters_follow_by_a_share_and_moving_statistics_stay() {
        let device = Device::default().autodiff();
        let (first, second) = (parts(1, &device), parts(2, &device));
        let mut encoder = MomentumEncoder::copy_of(&first.0, &first.1);
        encoder.backbone.bn1.running_mean = encoder.backbone.bn1.running_mean.map(|m| m + 3.0);
        encoder.follow(&second.0, &second.1, 0.75);
        let [own, before, example] =
            [&encoder.backbone, &first.0, &second.0].map(|net| net.layer3[0].conv1.weight.val());
        let expected = before.inner() * 0.75 + example.inner() * 0.25;
        assert_near(own.inner(), expected.into_data(), [0.0, 1e-6]);
        let mean = encoder.backbone.bn1.running_mean.val().inner();
        assert_near(mean, [3.0f32, 3.0], [0.0, 1e-6]);
    }

    #[test]
    fn no_gradient_reaches_the_momentum_encoder() {
        let device = Device::default().autodiff();
        let (backbone, projection) = parts(1, &device);
        let mut encoder = MomentumEncoder::copy_of(&backbone, &projection);
        encoder.follow(&backbone, &projection, 0.5);
        let target = encoder.forward(Tensor::ones([2, 3, 32, 32], &device), NormMode::Batch);
        assert!(
            backbone.conv1.weight.val().is_require_grad(),
            "the trained one learns"
        );
        assert!(!target.is_require_grad());
        assert!(!encoder.backbone.conv1.weight.is_require_grad());
        assert!(!encoder.projection.conv1.weight.is_require_grad());
    }
}
