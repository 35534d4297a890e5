//! Pixel propagation module (PPM) of PixPro: pixels take over what similar pixels say.
//!
//! Xie et al. 2021 (<https://arxiv.org/abs/2011.10043>, eq. 3 and 4):
//! `y_i = Σ_j max(cos(x_i, x_j), 0)^γ · g(x_j)` over all pixels `j` of the same view. It smooths the
//! embeddings within objects, on the online side of PASS_p only.

use burn::{
    module::Module,
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};

use crate::{
    init::WeightStream,
    normalize::l2_normalize,
    precision::{convolve, product},
};

/// Exponent γ of the similarity: PixPro's published value.
pub const SHARPNESS: i32 = 2;

/// The pixel propagation module.
#[derive(Module, Debug)]
pub struct PixelPropagation {
    /// `g`, a 1×1 convolution with bias that keeps the number of channels.
    pub transform: Conv2d,
}

impl PixelPropagation {
    /// Draws the weights for maps of `channels` channels.
    pub fn new(channels: usize, stream: &mut WeightStream, device: &Device) -> Self {
        let config = Conv2dConfig::new([channels, channels], [1, 1]);
        Self {
            transform: stream.conv2d(&config, device),
        }
    }

    /// Propagated embeddings, each of unit length.
    ///
    /// The transformed pixels are unit vectors before they are added up, as in the published program.
    ///
    /// # Shapes
    ///
    /// - `map` and output: `[batch, channels, height, width]`
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = map.dims();
        let pixels =
            |map: Tensor<4>| l2_normalize(map, 1).reshape([batch, channels, height * width]);
        let units = pixels(map.clone());
        let similarity = product(units.clone().swap_dims(1, 2), units); // symmetric
        let similarity = similarity.clamp_min(0.0).powi_scalar(SHARPNESS);
        let propagated = product(pixels(convolve(&self.transform, map)), similarity);
        l2_normalize(propagated, 1).reshape([batch, channels, height, width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use golden::assert_near;

    fn module(channels: usize) -> PixelPropagation {
        PixelPropagation::new(channels, &mut WeightStream::new(3), &Device::default())
    }

    fn map() -> Tensor<4> {
        let device = Device::default();
        device.seed(4);
        Tensor::random([2, 5, 3, 2], Distribution::Normal(0.0, 1.0), &device)
    }

    #[test]
    fn every_propagated_pixel_has_length_one() {
        let lengths = module(5).forward(map()).square().sum_dim(1);
        assert_near(lengths, [[[[1.0f32; 2]; 3]]; 2], [0.0, 1e-5]);
    }

    #[test]
    fn the_length_of_a_pixel_does_not_matter_to_its_similarity() {
        // With a transform without bias the values are unit vectors too.
        let mut module = module(5);
        module.transform.bias = None;
        let scaled = module.forward(map() * 3.0);
        assert_near(scaled, module.forward(map()).into_data(), [1e-4, 1e-5]);
    }

    #[test]
    fn pixels_at_a_right_angle_or_more_say_nothing_to_each_other() {
        let device = Device::default();
        let map = Tensor::<4>::from_floats([[[[1.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]]]], &device);
        let module = module(2);
        let alone = |index: usize| {
            let pixel = map.clone().narrow(3, index, 1);
            l2_normalize(module.transform.forward(pixel), 1)
        };
        let expected = Tensor::cat((0..3).map(alone).collect(), 3);
        assert_near(
            module.forward(map.clone()),
            expected.into_data(),
            [1e-5, 1e-6],
        );
    }
}
