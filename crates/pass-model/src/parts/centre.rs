//! The centre of DINO (Caron et al. 2021, <https://arxiv.org/abs/2104.14294>, eq. 4): a moving mean of the
//! teacher's logits, which is taken off them so that no prototype dominates.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::queue::{MemoryError, named};
use crate::{group::Group, method::Memory};

/// The name of its only tensor.
const CENTRE: &str = "centre";

/// A moving mean of rows.
#[derive(Clone, Debug)]
pub struct Centre {
    value: Tensor<1>,
    keep: f64,
}

impl Centre {
    /// Zeros. `keep`: what it keeps of itself in an update, in `0..=1`.
    pub fn new(length: usize, keep: f64, device: &Device) -> Self {
        let value = Tensor::zeros([length], &device.clone().inner());
        Self { value, keep }
    }

    /// `[length]`
    pub fn value(&self) -> Tensor<1> {
        self.value.clone()
    }

    /// Moves towards the mean of the rows of all ranks, of which each gives as many. Collective.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[rows, length]`
    pub fn update(&mut self, rows: Tensor<2>, group: &Group) {
        let [count, length] = rows.dims();
        let sum = rows.inner().sum_dim(0).reshape([length]);
        let sum = group.sum_of(sum);
        let mean = sum / (count * group.size()) as f64;
        self.value = self.value.clone() * self.keep + mean * (1.0 - self.keep);
    }
}

/// The same on all ranks.
impl Memory for Centre {
    fn save(&self, _group: &Group) -> BTreeMap<String, TensorData> {
        BTreeMap::from([(CENTRE.to_owned(), self.value.to_data())])
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        _group: &Group,
    ) -> Result<(), MemoryError> {
        let data = named(saved, CENTRE, &self.value.dims(), self.value.dtype())?;
        self.value = Tensor::from_data(data.clone(), &self.value.device());
        Ok(())
    }

    fn rows(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    const ROUNDING: [f64; 2] = [0.0, 1e-6];

    fn rows() -> Tensor<2> {
        Tensor::from_floats([[1.0, 0.0], [3.0, -2.0]], &Device::default())
    }

    #[test]
    fn it_moves_a_share_towards_the_mean_of_the_rows() {
        let mut centre = Centre::new(2, 0.9, &Device::default().autodiff());
        centre.update(rows(), &Group::default());
        assert_near(centre.value(), [0.2, -0.1], ROUNDING);
        centre.update(rows(), &Group::default());
        assert_near(centre.value(), [0.38, -0.19], ROUNDING);
    }

    #[test]
    fn it_survives_a_checkpoint_and_refuses_another_length() {
        let mut centre = Centre::new(2, 0.9, &Device::default());
        centre.update(rows(), &Group::default());
        let saved = centre.save(&Group::default());
        let mut other = Centre::new(2, 0.9, &Device::default());
        other.restore(&saved, &Group::default()).unwrap();
        assert_eq!(other.value().into_data(), centre.value().into_data());
        let mut long = Centre::new(3, 0.9, &Device::default());
        let error = long.restore(&saved, &Group::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("[2]") && error.contains("[3]"), "{error}");
        let error = long
            .restore(&BTreeMap::new(), &Group::default())
            .unwrap_err();
        assert!(error.to_string().contains("centre"), "{error}");
    }
}
