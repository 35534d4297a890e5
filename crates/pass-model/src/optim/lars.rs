//! LARS: layer-wise adaptive rate scaling, for large batches.
//!
//! You et al. 2017 (<https://arxiv.org/abs/1708.03888>) scale the gradient of each tensor so that
//! a step is a fixed fraction of the tensor's norm. This is the variant that SwAV and PASS train
//! with, NVIDIA's LARC without clipping around SGD with momentum:
//!
//! 1. `s = η·‖w‖ / (‖g‖ + λ·‖w‖ + ε)`, `g ← s·(g + λ·w)`; if `w` or `g` is all zero, `g` stays
//! 2. `m ← μ·m + g`, in the first step `m ← g`
//! 3. `w ← w − rate·m`
//!
//! By default all tensors are treated so, also biases and the weights of normalisations. A tensor
//! that starts at zero, as every normalisation's bias does, therefore takes its first step with
//! the raw gradient.

use burn::{optim::ModuleOptimizer, tensor::Tensor};

use super::{
    momentum::{GradientRule, MomentumDescent},
    varying::Varying,
};

/// Settings of [`Lars`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LarsConfig {
    /// Trust coefficient η: norm of a step at rate 1 as a fraction of the tensor's norm.
    pub trust: f64,
    /// ε in the divisor of the trust ratio.
    pub epsilon: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
    /// Tensors without trust ratio and weight decay.
    pub exclude: LarsExclusion,
    /// Where the weight decay enters.
    pub decay: LarsDecay,
    /// Whether gradients are multiplied with the rate before they are added up, as SimCLR's are.
    pub lr_in_buffer: bool,
}

impl Default for LarsConfig {
    /// The settings of every published run.
    fn default() -> Self {
        Self {
            trust: 1e-3,
            epsilon: 1e-8,
            weight_decay: 1e-6,
            momentum: 0.9,
            exclude: LarsExclusion::None,
            decay: LarsDecay::BesideGradient,
            lr_in_buffer: false,
        }
    }
}

impl LarsConfig {
    /// The LARS of PixPro, which PASS_p trains with: decay in the gradient, λ = 1e-5, and no part for
    /// biases and norms. With another λ that of SimCLR, BYOL, Barlow Twins, VICReg and MoCo v3.
    pub fn pixpro() -> Self {
        Self {
            weight_decay: 1e-5,
            exclude: LarsExclusion::BiasAndNorm,
            decay: LarsDecay::InGradient,
            ..Self::default()
        }
    }
}

/// Tensors that [`Lars`] updates by plain SGD: the raw gradient, momentum, no decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LarsExclusion {
    /// None, as in the reference.
    #[default]
    None,
    /// Biases and the weights of normalisations: the tensors of rank 1.
    BiasAndNorm,
}

/// Where the weight decay of [`Lars`] enters; the two differ by the order of λ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LarsDecay {
    /// Its norm beside the gradient's: `s = η·‖w‖ / (‖g‖ + λ·‖w‖ + ε)`, as LARC.
    #[default]
    BesideGradient,
    /// In the gradient before its norm is taken: `s = η·‖w‖ / (‖g + λ·w‖ + ε)`, as PixPro.
    InGradient,
}

/// The gradients of LARS, for [`MomentumDescent`]; [`LarsConfig::init`] is the optimiser of whole
/// modules. Nothing is read back from the device.
#[derive(Clone, Copy, Debug)]
pub struct Lars {
    config: LarsConfig,
}

impl LarsConfig {
    /// The optimiser of one tensor, for [`ModuleOptimizer::with_group`].
    pub fn build(&self) -> MomentumDescent<Lars> {
        self.build_with(Varying::new(self.weight_decay))
    }

    pub(super) fn build_with(&self, decay: Varying) -> MomentumDescent<Lars> {
        MomentumDescent {
            rule: Lars { config: *self },
            decay,
            lr_in_buffer: self.lr_in_buffer,
        }
    }

    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        self.build().into()
    }
}

impl GradientRule for Lars {
    const NAME: &'static str = "lars_buffer";

    fn factor(&self) -> f64 {
        self.config.momentum
    }

    fn scaled<const D: usize>(
        &self,
        weight: &Tensor<D>,
        gradient: Tensor<D>,
        weight_decay: f64,
    ) -> Tensor<D> {
        match self.config.exclude {
            LarsExclusion::BiasAndNorm if D == 1 => gradient,
            _ => self.at_trust_ratio(weight, gradient, weight_decay),
        }
    }
}

impl Lars {
    /// `s·(g + λ·w)`.
    fn at_trust_ratio<const D: usize>(
        &self,
        weight: &Tensor<D>,
        gradient: Tensor<D>,
        weight_decay: f64,
    ) -> Tensor<D> {
        let decayed = gradient.clone() + weight.clone() * weight_decay;
        let ratio = match self.config.decay {
            LarsDecay::BesideGradient => {
                self.trust_ratio(norm(weight), norm(&gradient), weight_decay)
            }
            LarsDecay::InGradient => self.trust_ratio(norm(weight), norm(&decayed), 0.0),
        };
        decayed * ratio.reshape([1; D])
    }

    /// The factor `s`, `[1]`, without reading a norm back.
    ///
    /// If `w` is zero, so is the decay, and `s = 1` leaves the gradient as it is. If the gradient
    /// is zero, `s = 0` leaves it zero and drops the decay.
    fn trust_ratio(
        &self,
        weight_norm: Tensor<1>,
        gradient_norm: Tensor<1>,
        weight_decay: f64,
    ) -> Tensor<1> {
        let LarsConfig { trust, epsilon, .. } = self.config;
        let divisor = gradient_norm.clone() + weight_norm.clone() * weight_decay + epsilon;
        let ratio = weight_norm.clone() * trust * gradient_norm.sign() / divisor;
        ratio.mask_fill(weight_norm.equal_elem(0.0), 1.0)
    }
}

/// Euclidean norm of all elements, `[1]`.
fn norm<const D: usize>(tensor: &Tensor<D>) -> Tensor<1> {
    tensor.clone().square().sum().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{optim::Optimizer, tensor::Device};
    use golden::{Arrays, assert_near};

    /// A dozen float32 operations, each with a rounding of 6e-8, relative.
    const ROUNDING: [f64; 2] = [2e-6, 1e-30];

    fn vector<const N: usize>(values: [f32; N]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::default())
    }

    fn lars(exclude: LarsExclusion) -> MomentumDescent<Lars> {
        LarsConfig {
            exclude,
            ..Default::default()
        }
        .build()
    }

    fn step(weight: Tensor<1>, gradient: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        let (weight, state) = lars(LarsExclusion::None).step(0.6, weight, gradient, None);
        (weight, state.unwrap().into_tensor())
    }

    /// By hand: ‖w‖ = 5, ‖g‖ = ½, then 1; rate 0.6.
    #[test]
    fn two_steps_follow_the_formula() {
        let lars = lars(LarsExclusion::None);
        let (w, state) = lars.step(0.6, vector([3.0, 4.0]), vector([0.3, -0.4]), None);
        assert_near(w.clone(), [2.998_2, 4.002_399_952], ROUNDING);
        let (w, _) = lars.step(0.6, w, vector([-0.6, 0.8]), state);
        assert_near(w, [2.998_380_284_7, 4.002_159_505_1], ROUNDING);
    }

    #[test]
    fn the_trust_ratio_is_eta_times_the_norms_ratio() {
        let lars = lars(LarsExclusion::None);
        assert_near(
            lars.rule.trust_ratio(vector([5.0]), vector([0.5]), 1e-6),
            [0.009_999_899_8],
            ROUNDING,
        );
    }

    #[test]
    fn a_zero_tensor_takes_the_raw_gradient() {
        let (w, buffer) = step(vector([0.0, 0.0, 0.0]), vector([1.0, -2.0, 0.5]));
        assert_near(buffer, [1.0, -2.0, 0.5], ROUNDING);
        assert_near(w, [-0.6, 1.2, -0.3], ROUNDING);
    }

    #[test]
    fn a_zero_gradient_moves_nothing_and_decays_nothing() {
        let (w, buffer) = step(vector([1.5, -0.25]), vector([0.0, -0.0]));
        assert_near(w, [1.5, -0.25], [0.0, 1e-30]);
        assert_near(buffer, [0.0, 0.0], [0.0, 1e-30]);
    }

    #[test]
    fn the_step_does_not_depend_on_the_scale_of_the_gradient() {
        let small = step(vector([3.0, 4.0]), vector([0.3, -0.4])).0;
        let large = step(vector([3.0, 4.0]), vector([300.0, -400.0])).0;
        // λ·‖w‖ is 1e-5 of the small gradient's norm, and the step 1e-3 of the weight
        assert_near(large, small.into_data(), [0.0, 1e-7]);
    }

    #[test]
    fn an_excluded_bias_takes_the_raw_gradient_and_a_matrix_does_not() {
        let lars = lars(LarsExclusion::BiasAndNorm);
        let (bias, _) = lars.step(0.5, vector([2.0, 1.0]), vector([0.2, 0.4]), None);
        assert_near(bias, [1.9, 0.8], ROUNDING);
        let [w, g] =
            [[[3.0, 4.0]], [[0.3, -0.4]]].map(|x| Tensor::<2>::from_floats(x, &Device::default()));
        let (matrix, _) = lars.step(0.6, w, g, None);
        assert_near(matrix, [[2.998_2, 4.002_399_952]], ROUNDING);
    }

    /// By hand: g + λ·w = (0.33, -0.36), of length 0.488 364.
    #[test]
    fn decay_in_the_gradient_counts_in_its_norm() {
        let lars = LarsConfig {
            weight_decay: 0.01,
            ..LarsConfig::pixpro()
        };
        let [w, g] =
            [[[3.0, 4.0]], [[0.3, -0.4]]].map(|x| Tensor::<2>::from_floats(x, &Device::default()));
        let (_, state) = lars.build().step(1.0, w, g, None);
        let scale = 5e-3 / (0.33f32.powi(2) + 0.36f32.powi(2)).sqrt();
        assert_near(
            state.unwrap().into_tensor(),
            [[0.33 * scale, -0.36 * scale]],
            ROUNDING,
        );
    }

    fn check_golden<const D: usize>(golden: &mut Arrays, weight_decay: &str, name: &str) {
        let device = Device::default();
        let lars = LarsConfig {
            weight_decay: weight_decay.parse().unwrap(),
            ..Default::default()
        };
        let key = |what: &str| format!("wd{weight_decay}_{what}");
        let mut weight = golden.tensor::<D>(&key(&format!("{name}_init")), &device);
        let mut state = None;
        for step in 0..3 {
            // The prototypes are frozen in step 0: no gradient, no call.
            if golden.has(&key(&format!("{name}_grad{step}"))) {
                let rate = golden.number(&key(&format!("lr{step}")));
                let gradient = golden.tensor(&key(&format!("{name}_grad{step}")), &device);
                (weight, state) = lars.build().step(rate, weight, gradient, state);
                let buffer = state.clone().unwrap().into_tensor();
                // Elements that almost cancel keep the rounding of the others (near 1).
                let buffer_key = key(&format!("{name}_buf{step}"));
                assert_near(buffer, golden.data(&buffer_key), golden_rounding(name));
            }
            let after = golden.data(&key(&format!("{name}_after{step}")));
            assert_near(weight.clone(), after, golden_rounding(name));
        }
    }

    /// `tiny` has weights of 1e-10, whose last digits are at 1e-17.
    fn golden_rounding(name: &str) -> [f64; 2] {
        if name == "tiny" {
            [2e-6, 1e-17]
        } else {
            [2e-6, 2e-7]
        }
    }

    #[test]
    fn agrees_with_the_golden_steps_of_larc() {
        let mut golden = golden::open("lars.npz");
        for weight_decay in ["1e-6", "0.1"] {
            check_golden::<2>(&mut golden, weight_decay, "w");
            check_golden::<1>(&mut golden, weight_decay, "bias_zero");
            check_golden::<1>(&mut golden, weight_decay, "zero_grad");
            check_golden::<2>(&mut golden, weight_decay, "proto");
            check_golden::<1>(&mut golden, weight_decay, "tiny");
        }
    }
}
