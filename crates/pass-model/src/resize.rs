//! Bilinear resize as two matrix products.
//!
//! `out = R_h · X · R_wᵀ`, where row `o` of `R` holds the two weights of output pixel `o`. The
//! matrices are constants, so the gradient is two more products. This is what makes it usable on
//! every backend: burn 0.22 has no backward of its own bilinear interpolation on GPUs.

use burn::tensor::{Device, Tensor, TensorData, assert_shape};

use crate::precision::widened;

/// Bilinear resize of feature maps from one fixed size to another.
///
/// The rule is PyTorch's with `align_corners = false` and without antialiasing: the source
/// coordinate of output pixel `o` is `(o + ½) · in / out − ½`, clamped below at 0, and beyond the
/// last pixel the last pixel repeats. Keep one instance where the sizes stay the same: it holds
/// the two matrices on the device.
#[derive(Clone, Debug)]
pub struct BilinearResize {
    rows: Tensor<2>,
    columns: Tensor<2>,
}

impl BilinearResize {
    /// Prepares the resize from `input` to `output`, both `[height, width]` in pixels.
    ///
    /// # Panics
    ///
    /// If one of the four sizes is zero.
    pub fn new(input: [usize; 2], output: [usize; 2], device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let matrix = |axis: usize| {
            Tensor::from_data(interpolation_matrix(input[axis], output[axis]), &device)
        };
        Self {
            rows: matrix(0),
            columns: matrix(1).transpose(),
        }
    }

    /// Resizes every channel, in float32.
    ///
    /// # Shapes
    ///
    /// - `maps`: `[batch, channels, height, width]`, height and width as given to [`Self::new`]
    /// - output: `[batch, channels, output height, output width]`
    ///
    /// # Panics
    ///
    /// If the maps have another size.
    pub fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = maps.dims();
        let [out_height, _] = self.rows.dims();
        let [_, out_width] = self.columns.dims();
        assert_shape!(self.rows, [_, height]);
        assert_shape!(self.columns, [width, _]);

        // All rows of all maps are one tall matrix: a single product.
        let wide = widened(maps)
            .reshape([batch * channels * height, width])
            .matmul(self.columns.clone());
        let wide = wide.reshape([batch * channels, height, out_width]);
        let full = self.rows.clone().unsqueeze::<3>().matmul(wide);
        full.reshape([batch, channels, out_height, out_width])
    }
}

/// Bilinear resize of feature maps to `[height, width]`, differentiable on every backend.
///
/// Builds a [`BilinearResize`] for this one call, which costs two small uploads.
///
/// # Shapes
///
/// - `maps`: `[batch, channels, h, w]`
/// - output: `[batch, channels, height, width]`
///
/// # Panics
///
/// If one of the sizes is zero.
pub fn upsample_bilinear(maps: Tensor<4>, output: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = maps.dims();
    BilinearResize::new([height, width], output, &maps.device()).forward(maps)
}

/// `[output, input]`: the weights of the input pixels in each output pixel; rows sum to 1.
fn interpolation_matrix(input: usize, output: usize) -> TensorData {
    assert!(
        input > 0 && output > 0,
        "cannot resize from {input} to {output} pixels"
    );
    let mut weights = vec![0.0f32; output * input];
    for (o, row) in weights.chunks_exact_mut(input).enumerate() {
        let source = ((o as f64 + 0.5) * input as f64 / output as f64 - 0.5).max(0.0);
        let first = (source as usize).min(input - 1);
        let second = (first + 1).min(input - 1);
        let weight = source - first as f64;
        row[first] += (1.0 - weight) as f32;
        row[second] += weight as f32; // the same pixel at the far border
    }
    TensorData::new(weights, [output, input])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use golden::assert_near;

    /// Four products of float32 numbers near 1: a few roundings of 6e-8 each.
    const ROUNDING: [f64; 2] = [1e-6, 2e-6];

    fn maps(device: &Device) -> Tensor<4> {
        device.seed(3);
        Tensor::random([2, 3, 5, 7], Distribution::Normal(0.0, 1.0), device)
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let maps = maps(&Device::default());
        assert_near(
            upsample_bilinear(maps.clone(), [5, 7]),
            maps.into_data(),
            [0.0, 1e-12],
        );
    }

    #[test]
    fn a_constant_map_stays_constant_at_any_size() {
        let ones = Tensor::<4>::ones([1, 2, 3, 4], &Device::default());
        for size in [[11, 13], [2, 3], [1, 1]] {
            let resized = upsample_bilinear(ones.clone(), size);
            assert_near(
                resized,
                Tensor::<4>::ones([1, 2, size[0], size[1]], &Device::default()).into_data(),
                ROUNDING,
            );
        }
    }

    /// By hand: 2 to 4 pixels has sources 0 (clamped from -¼), ¼, ¾ and 1 (clamped from 1¼).
    #[test]
    fn doubling_two_pixels_repeats_the_borders() {
        let pair = Tensor::<4>::from_floats([[[[0.0, 8.0]]]], &Device::default());
        assert_near(
            upsample_bilinear(pair, [1, 4]),
            [[[[0.0, 2.0, 6.0, 8.0]]]],
            ROUNDING,
        );
    }

    #[test]
    fn the_gradient_is_the_transposed_resize() {
        let device = Device::default().autodiff();
        let x = maps(&device).require_grad();
        let pull = Tensor::<4>::random([2, 3, 11, 4], Distribution::Normal(0.0, 1.0), &device);
        let product = (upsample_bilinear(x.clone(), [11, 4]) * pull.clone()).sum();
        let gradient = x.grad(&product.backward()).unwrap();
        // <R x, y> = <x, Rᵀ y>; sums of 264 terms of both signs
        let same = (gradient * x.clone().inner()).sum();
        assert_near(same, product.into_data(), [1e-5, 1e-4]);
    }

    #[test]
    fn agrees_with_pytorch_at_the_golden_sizes() {
        let mut golden = golden::open("interpolate.npz");
        let x = golden.tensor::<4>("x", &Device::default());
        for [height, width] in [[20, 28], [31, 45], [3, 4], [375, 500]] {
            let resized = upsample_bilinear(x.clone(), [height, width]);
            let corner = resized.slice([0..1, 0..2, 0..height.min(64), 0..width.min(64)]);
            assert_near(
                corner,
                golden.data(&format!("bilinear_{height}x{width}")),
                ROUNDING,
            );
        }
    }
}
