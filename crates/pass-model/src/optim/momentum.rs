//! The momentum of one tensor, which both optimisers have.

use std::marker::PhantomData;

use burn::{
    optim::{RecordState, StateSink, StateSource},
    tensor::{Device, Tensor, TensorData},
};

/// Sum of gradients, each older by a factor μ: `m ← μ·m + g`; the state of the optimiser `O`.
///
/// One from a file stays with the host until burn says which device its tensor is on. burn itself
/// would load it to the default device of the build, which the machine need not have.
#[derive(Clone, Debug)]
pub struct Momentum<const D: usize, O> {
    place: Place<D>,
    optimizer: PhantomData<O>,
}

#[derive(Clone, Debug)]
enum Place<const D: usize> {
    Host(TensorData),
    Device(Tensor<D>),
}

/// The name of an optimiser's momentum in a file: one optimiser does not go on with another's.
pub trait MomentumName: Send + Sync + 'static {
    /// The name.
    const NAME: &'static str;
}

impl<const D: usize, O> Momentum<D, O> {
    fn new(place: Place<D>) -> Self {
        Self {
            place,
            optimizer: PhantomData,
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
        match self.place {
            Place::Device(tensor) => tensor,
            Place::Host(_) => panic!("a loaded momentum has no device before its first step"),
        }
    }

    pub(super) fn placed_on(self, device: &Device) -> Self {
        Self::new(Place::Device(match self.place {
            Place::Device(tensor) => tensor.to_device(device),
            Place::Host(data) => Tensor::from_data(data, device),
        }))
    }
}

impl<const D: usize, O: MomentumName> RecordState for Momentum<D, O> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        let data = match &self.place {
            Place::Device(tensor) => tensor.to_data(),
            Place::Host(data) => data.clone(),
        };
        out.push_tensor(prefix, O::NAME, data);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        let data = source.take_tensor(prefix, O::NAME)?;
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
