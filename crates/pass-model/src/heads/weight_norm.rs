//! A linear layer whose rows have a length of their own: the last layer of DINO's head.
//!
//! Salimans and Kingma 2016, <https://arxiv.org/abs/1602.07868>.

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};

use crate::{init::WeightStream, normalize::l2_normalize, precision::product};

/// `x Wᵀ` with rows of `W` in the direction of learned ones and of learned lengths, or of length 1.
#[derive(Module, Debug)]
pub struct WeightNormLinear {
    /// `[outputs, inputs]`, of any length.
    pub direction: Param<Tensor<2>>,
    /// `[outputs, 1]`; without it all rows have length 1.
    pub gain: Option<Param<Tensor<2>>>,
}

impl WeightNormLinear {
    /// Directions uniform in `±1/√inputs`, lengths 1; `learned` says whether lengths are trained.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        learned: bool,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let ones = || Tensor::ones([outputs, 1], (device, DType::F32));
        Self {
            direction: stream.uniform_fan_in([outputs, inputs], inputs, device),
            gain: learned.then(|| Param::from_tensor(ones())),
        }
    }

    /// # Shapes
    ///
    /// - `rows`: `[rows, inputs]`
    /// - output: `[rows, outputs]`
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let units = l2_normalize(self.direction.val(), 1);
        let weight = match &self.gain {
            Some(gain) => units * gain.val(),
            None => units,
        };
        product(rows, weight.transpose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    #[test]
    fn rows_have_the_length_of_their_gain_whatever_that_of_their_direction() {
        let device = Device::default();
        let mut layer = WeightNormLinear::new([2, 2], true, &mut WeightStream::new(1), &device);
        let directions = Tensor::from_floats([[3.0, 4.0], [0.0, -7.0]], &device);
        layer.direction = Param::from_tensor(directions);
        layer.gain = Some(Param::from_tensor(Tensor::from_floats(
            [[1.0], [2.0]],
            &device,
        )));
        let output = layer.forward(Tensor::eye(2, &device));
        assert_near(output, [[0.6, 0.0], [0.8, -2.0]], [1e-6, 1e-6]);
    }
}
