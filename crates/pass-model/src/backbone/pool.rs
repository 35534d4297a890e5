//! Poolings with the rules of PyTorch.

use burn::{
    nn::{
        PaddingConfig2d,
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Tensor, module::avg_pool2d, ops::AvgPoolOptions},
};

/// 3×3, stride 2, padding 1: halves upwards.
pub(super) fn halving_max_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}

/// 3×3, padding 1 of zeros, which count.
pub(super) fn mean_of_nine(x: Tensor<4>, stride: usize) -> Tensor<4> {
    let options = AvgPoolOptions::new([3, 3])
        .with_stride([stride, stride])
        .with_padding([1, 1]);
    avg_pool2d(x, options)
}

/// 2×2, stride 2.
///
/// - `is_upward`: whether a half place at the end is the mean of what is there, or dropped
pub(super) fn halving_mean(x: Tensor<4>, is_upward: bool) -> Tensor<4> {
    let options = AvgPoolOptions::new([2, 2])
        .with_ceil_mode(is_upward)
        .with_count_include_pad(false);
    avg_pool2d(x, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use golden::assert_near;

    /// Figures of PyTorch.
    #[test]
    fn means_are_those_of_pytorch() {
        let x = Tensor::<1>::from_floats(
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
            &Device::default(),
        );
        let x = x.reshape([1, 1, 3, 3]);
        let flat = |x: Tensor<4>| x.flatten::<1>(0, 3);
        let counted = [12.0 / 9.0, 16.0 / 9.0, 24.0 / 9.0, 28.0 / 9.0];
        assert_near(flat(mean_of_nine(x.clone(), 2)), counted, [1e-6, 1e-6]);
        let upward = flat(halving_mean(x.clone(), true));
        assert_near(upward, [3.0, 4.5, 7.5, 9.0], [1e-6, 1e-6]);
        assert_near(flat(halving_mean(x, false)), [3.0], [1e-6, 1e-6]);
    }
}
