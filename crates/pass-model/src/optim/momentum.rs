//! The momentum of one tensor, which both optimisers have.

use burn::{
    optim::{StateSink, StateSource},
    tensor::{Device, Tensor, TensorData},
};

/// Sum of gradients, each older by a factor μ: `m ← μ·m + g`.
///
/// One from a file stays with the host until burn says which device its tensor is on. burn itself
/// would load it to the default device of the build, which the machine need not have.
#[derive(Clone, Debug)]
pub struct Momentum<const D: usize>(Place<D>);

#[derive(Clone, Debug)]
enum Place<const D: usize> {
    Host(TensorData),
    Device(Tensor<D>),
}

impl<const D: usize> Momentum<D> {
    /// After a gradient; in the first step the gradient itself.
    ///
    /// # Panics
    ///
    /// If the old one is still with the host: burn calls `to_device` before each step.
    pub(super) fn after(old: Option<&Self>, factor: f64, gradient: Tensor<D>) -> Self {
        let new = match old {
            Some(old) => old.tensor() * factor + gradient,
            None => gradient,
        };
        Self(Place::Device(new))
    }

    /// The sum, of the shape of its tensor.
    ///
    /// # Panics
    ///
    /// If it was loaded and no step has been taken since.
    pub fn tensor(&self) -> Tensor<D> {
        match &self.0 {
            Place::Device(tensor) => tensor.clone(),
            Place::Host(_) => panic!("a loaded momentum has no device before its first step"),
        }
    }

    pub(super) fn placed_on(self, device: &Device) -> Self {
        Self(Place::Device(match self.0 {
            Place::Device(tensor) => tensor.to_device(device),
            Place::Host(data) => Tensor::from_data(data, device),
        }))
    }

    pub(super) fn flatten(&self, prefix: &str, name: &str, out: &mut StateSink) {
        let data = match &self.0 {
            Place::Device(tensor) => tensor.to_data(),
            Place::Host(data) => data.clone(),
        };
        out.push_tensor(prefix, name, data);
    }

    pub(super) fn unflatten(prefix: &str, name: &str, source: &mut StateSource) -> Option<Self> {
        let data = source.take_tensor(prefix, name)?;
        Some(Self(Place::Host(data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded() -> Momentum<1> {
        Momentum(Place::Host(TensorData::from([1.0f32, -2.0])))
    }

    #[test]
    fn a_loaded_momentum_goes_to_the_device_of_its_tensor() {
        let there = loaded().placed_on(&Device::default());
        let next = Momentum::after(Some(&there), 0.5, there.tensor());
        assert_eq!(next.tensor().into_data(), TensorData::from([1.5f32, -3.0]));
    }

    #[test]
    fn a_loaded_momentum_can_be_saved_again() {
        let (mut first, mut second) = (StateSink::default(), StateSink::default());
        loaded().flatten("7", "m", &mut first);
        loaded()
            .placed_on(&Device::default())
            .flatten("7", "m", &mut second);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }

    #[test]
    #[should_panic(expected = "no device before its first step")]
    fn a_loaded_momentum_is_not_used_before_it_has_a_device() {
        let _ = loaded().tensor();
    }
}
