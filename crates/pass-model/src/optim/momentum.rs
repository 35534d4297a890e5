//! Descent with momentum, which both optimisers are: they differ in what they make of a gradient.

use std::marker::PhantomData;

use burn::{
    optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource},
    tensor::{Device, Tensor, TensorData},
};

use super::varying::Varying;

/// What an optimiser makes of a gradient before it is added up.
pub trait GradientRule: Clone + Send + Sync + 'static {
    /// The momentum's name in a file: one optimiser does not go on with another's.
    const NAME: &'static str;

    /// Momentum μ, in `[0, 1)`.
    fn factor(&self) -> f64;

    /// The gradient of a tensor as it is added up, under a weight decay λ.
    fn scaled<const D: usize>(
        &self,
        weight: &Tensor<D>,
        gradient: Tensor<D>,
        weight_decay: f64,
    ) -> Tensor<D>;
}

/// `g ← rule(w, g)`, `m ← μ·m + g` (first step `m ← g`), `w ← w − rate·m`, for one tensor at a time.
///
/// Or, with the rate in the buffer, `m ← μ·m + rate·g` and `w ← w − m`, which differs while the rate
/// changes. Tensors without a gradient are left alone, with their momentum.
#[derive(Clone, Debug)]
pub struct MomentumDescent<R> {
    pub(super) rule: R,
    pub(super) decay: Varying,
    pub(super) lr_in_buffer: bool,
}

impl<R: GradientRule> Optimizer for MomentumDescent<R> {
    type State<const D: usize> = Momentum<D, R>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        momentum: Option<Momentum<D, R>>,
    ) -> (Tensor<D>, Option<Momentum<D, R>>) {
        let scaled = self.rule.scaled(&weight, gradient, self.decay.get());
        let factor = self.rule.factor();
        if self.lr_in_buffer {
            let momentum = Momentum::after(momentum, factor, scaled * rate);
            return (weight - momentum.clone().into_tensor(), Some(momentum));
        }
        let momentum = Momentum::after(momentum, factor, scaled);
        let weight = weight - momentum.clone().into_tensor() * rate;
        (weight, Some(momentum))
    }

    fn to_device<const D: usize>(momentum: Momentum<D, R>, device: &Device) -> Momentum<D, R> {
        momentum.placed_on(device)
    }
}

/// Sum of gradients, each older by a factor μ: `m ← μ·m + g`, of gradients as the rule `R` makes them.
///
/// One from a file stays with the host until burn says which device its tensor is on. burn itself
/// would load it to the default device of the build, which the machine need not have.
#[derive(Clone, Debug)]
pub struct Momentum<const D: usize, R> {
    place: Place<D>,
    rule: PhantomData<R>,
}

/// Where a tensor of an optimiser's state lies.
#[derive(Clone, Debug)]
pub(super) enum Place<const D: usize> {
    Host(TensorData),
    Device(Tensor<D>),
}

impl<const D: usize> Place<D> {
    /// # Panics
    ///
    /// If it is still with the host: burn calls `to_device` before each step.
    pub(super) fn into_tensor(self) -> Tensor<D> {
        match self {
            Self::Device(tensor) => tensor,
            Self::Host(_) => panic!("a loaded state has no device before its first step"),
        }
    }

    pub(super) fn on(self, device: &Device) -> Self {
        Self::Device(match self {
            Self::Device(tensor) => tensor.to_device(device),
            Self::Host(data) => Tensor::from_data(data, device),
        })
    }

    pub(super) fn data(&self) -> TensorData {
        match self {
            Self::Device(tensor) => tensor.to_data(),
            Self::Host(data) => data.clone(),
        }
    }
}

impl<const D: usize, R> Momentum<D, R> {
    fn new(place: Place<D>) -> Self {
        Self {
            place,
            rule: PhantomData,
        }
    }

    /// After a gradient; in the first step the gradient itself.
    ///
    /// # Panics
    ///
    /// If the old one is still with the host: burn calls `to_device` before each step.
    pub(super) fn after(old: Option<Self>, factor: f64, gradient: Tensor<D>) -> Self {
        let new = match old {
            Some(old) => old.into_tensor() * factor + gradient,
            None => gradient,
        };
        Self::new(Place::Device(new))
    }

    /// The sum, of the shape of its tensor.
    ///
    /// # Panics
    ///
    /// If it was loaded and no step has been taken since.
    pub fn into_tensor(self) -> Tensor<D> {
        self.place.into_tensor()
    }

    pub(super) fn placed_on(self, device: &Device) -> Self {
        Self::new(self.place.on(device))
    }
}

impl<const D: usize, R: GradientRule> RecordState for Momentum<D, R> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, R::NAME, self.place.data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        let data = source.take_tensor(prefix, R::NAME)?;
        Some(Self::new(Place::Host(data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Lars;

    fn loaded() -> Momentum<1, Lars> {
        Momentum::new(Place::Host(TensorData::from([1.0f32, -2.0])))
    }

    #[test]
    fn a_loaded_momentum_goes_to_the_device_of_its_tensor() {
        let there = loaded().placed_on(&Device::default());
        let next = Momentum::after(Some(there.clone()), 0.5, there.into_tensor());
        assert_eq!(
            next.into_tensor().into_data(),
            TensorData::from([1.5f32, -3.0])
        );
    }

    #[test]
    fn a_loaded_momentum_can_be_saved_again() {
        let (mut first, mut second) = (StateSink::default(), StateSink::default());
        loaded().state_flatten("7", &mut first);
        loaded()
            .placed_on(&Device::default())
            .state_flatten("7", &mut second);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }

    #[test]
    #[should_panic(expected = "no device before its first step")]
    fn a_loaded_momentum_is_not_used_before_it_has_a_device() {
        let _ = loaded().into_tensor();
    }
}
