//! Adam with decay of the weights beside the gradients (Loshchilov and Hutter 2019,
//! <https://arxiv.org/abs/1711.05101>), as PyTorch computes it.

use burn::{
    optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource},
    store::burn_pack::Scalar,
    tensor::{Device, Tensor},
};

use super::{momentum::Place, varying::Varying};

/// Settings of [`Adamw`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwConfig {
    /// Weight decay λ.
    pub weight_decay: f64,
    /// β₁, in `[0, 1)`.
    pub beta_1: f64,
    /// β₂, in `[0, 1)`.
    pub beta_2: f64,
    /// ε in the divisor.
    pub epsilon: f64,
}

impl Default for AdamwConfig {
    fn default() -> Self {
        Self {
            weight_decay: 0.01,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// The optimiser of one tensor. In step t, counted from 1:
///
/// 1. `w ← w − rate·λ·w`
/// 2. `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`
/// 3. `w ← w − rate·m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`
#[derive(Clone, Debug)]
pub struct Adamw {
    config: AdamwConfig,
    decay: Varying,
}

impl AdamwConfig {
    /// The optimiser of one tensor.
    pub fn build(&self) -> Adamw {
        self.build_with(Varying::new(self.weight_decay))
    }

    pub(super) fn build_with(&self, decay: Varying) -> Adamw {
        Adamw {
            config: *self,
            decay,
        }
    }
}

impl Optimizer for Adamw {
    type State<const D: usize> = Moments<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        moments: Option<Moments<D>>,
    ) -> (Tensor<D>, Option<Moments<D>>) {
        let AdamwConfig {
            beta_1,
            beta_2,
            epsilon,
            ..
        } = self.config;
        let zeros = || Place::Device(gradient.zeros_like());
        let Moments {
            first,
            second,
            steps,
        } = moments.unwrap_or_else(|| Moments {
            first: zeros(),
            second: zeros(),
            steps: 0,
        });
        let steps = steps + 1;
        let first = first.into_tensor() * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = second.into_tensor() * beta_2 + gradient.square() * (1.0 - beta_2);
        let corrected = |beta: f64| 1.0 - beta.powf(steps as f64);
        let divisor = (second.clone() / corrected(beta_2)).sqrt() + epsilon;
        let change = first.clone() / divisor * (rate / corrected(beta_1));
        let weight = weight * (1.0 - rate * self.decay.get()) - change;
        let [first, second] = [first, second].map(Place::Device);
        let moments = Moments {
            first,
            second,
            steps,
        };
        (weight, Some(moments))
    }

    fn to_device<const D: usize>(moments: Moments<D>, device: &Device) -> Moments<D> {
        let Moments {
            first,
            second,
            steps,
        } = moments;
        let [first, second] = [first, second].map(|moment| moment.on(device));
        Moments {
            first,
            second,
            steps,
        }
    }
}

/// The state of [`Adamw`] for one tensor.
#[derive(Clone, Debug)]
pub struct Moments<const D: usize> {
    first: Place<D>,
    second: Place<D>,
    steps: u64,
}

const NAMES: [&str; 2] = ["adamw_first", "adamw_second"];
const STEPS: &str = "adamw_steps";

impl<const D: usize> RecordState for Moments<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        for (name, moment) in NAMES.into_iter().zip([&self.first, &self.second]) {
            out.push_tensor(prefix, name, moment.data());
        }
        out.push_scalar(prefix, STEPS, Scalar::from(self.steps));
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        let steps = source.take_scalar(prefix, STEPS)?.try_into().ok()?;
        let mut moment = |name| Some(Place::Host(source.take_tensor(prefix, name)?));
        let [first, second] = NAMES;
        Some(Self {
            first: moment(first)?,
            second: moment(second)?,
            steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    /// By hand from the formula, in float64: three steps at rate 0.1 with decay 0.01.
    #[test]
    fn steps_follow_the_formula() {
        let optimizer = AdamwConfig::default().build();
        let device = Device::default();
        let vector = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device);
        let (mut weight, mut state) = (vector([1.0, -2.0]), None);
        let (mut expected, mut moments) = ([1.0f64, -2.0], [[0.0f64; 2]; 2]);
        let gradients = [[0.5f64, -0.25], [-1.0, 0.0], [0.125, 3.0]];
        for (step, gradient) in (1..).zip(gradients) {
            let (next, moment) =
                optimizer.step(0.1, weight, vector(gradient.map(|g| g as f32)), state);
            (weight, state) = (next, moment);
            for i in 0..2 {
                moments[0][i] = 0.9 * moments[0][i] + 0.1 * gradient[i];
                moments[1][i] = 0.999 * moments[1][i] + 0.001 * gradient[i].powi(2);
                let first = moments[0][i] / (1.0 - 0.9f64.powi(step));
                let second = moments[1][i] / (1.0 - 0.999f64.powi(step));
                expected[i] = expected[i] * (1.0 - 0.001) - 0.1 * first / (second.sqrt() + 1e-8);
            }
            assert_near(weight.clone(), expected.map(|w| w as f32), [2e-6, 1e-7]);
        }
    }

    #[test]
    fn a_loaded_state_is_the_saved_one() {
        let state = Moments::<1> {
            first: Place::Host([1.0f32, 2.0].into()),
            second: Place::Host([3.0f32, 4.0].into()),
            steps: 7,
        };
        let mut sink = StateSink::default();
        state.state_flatten("5", &mut sink);
        let mut source = StateSource::new(sink.scalars.clone().into_iter().collect());
        for (name, data) in sink.tensors.clone() {
            source.insert_tensor(name, data);
        }
        let loaded = Moments::<1>::state_unflatten("5", &mut source, &Device::default()).unwrap();
        let mut again = StateSink::default();
        loaded.state_flatten("5", &mut again);
        assert_eq!(format!("{sink:?}"), format!("{again:?}"));
    }
}
