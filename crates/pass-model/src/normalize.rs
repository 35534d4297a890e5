//! Vectors of unit length, and the pooling that comes before them; both in float32.

use burn::tensor::Tensor;

use crate::precision::widened;

/// Norms below this one count as this one, so that a zero vector stays zero.
pub const LEAST_NORM: f64 = 1e-12;

/// Divides every vector along `dim` by its Euclidean norm.
///
/// A vector shorter than [`LEAST_NORM`] is divided by [`LEAST_NORM`] instead; the zero vector
/// stays zero and its gradient stays finite.
///
/// # Shapes
///
/// - `vectors`: any
/// - output: the same, of at least float32; the squares along `dim` sum to 1
///
/// # Panics
///
/// If `dim` is not one of the tensor's dimensions.
pub fn l2_normalize<const D: usize>(vectors: Tensor<D>, dim: usize) -> Tensor<D> {
    divide_by_norm(vectors, dim, LEAST_NORM)
}

/// Mean over all places of each map.
///
/// # Shapes
///
/// - `maps`: `[batch, channels, height, width]`
/// - output: `[batch, channels]`
pub fn global_average_pool(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = maps.dims();
    widened(maps)
        .reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
}

/// Divides every vector along `dim` by its norm, or by `least_norm` where that is larger.
pub(crate) fn divide_by_norm<const D: usize>(
    vectors: Tensor<D>,
    dim: usize,
    least_norm: f64,
) -> Tensor<D> {
    let vectors = widened(vectors);
    // The bound comes before the root: the root of zero has an infinite slope, and zero times
    // infinity would turn the gradient of an all-zero vector into NaN.
    let squares = vectors
        .clone()
        .square()
        .sum_dim(dim)
        .clamp_min(least_norm * least_norm);
    vectors / squares.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use golden::assert_near;

    /// Float32 rounds to 6e-8 relative; a norm of three terms stays within a few of those.
    const ROUNDING: [f64; 2] = [1e-6, 1e-7];

    fn vectors(device: &Device) -> Tensor<2> {
        Tensor::from_floats([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]], device)
    }

    #[test]
    fn a_vector_gets_length_one_and_zero_stays_zero() {
        let unit = l2_normalize(vectors(&Device::default()), 1);
        assert_near(unit, [[0.6, 0.0, 0.8], [0.0, 0.0, 0.0]], ROUNDING);
    }

    #[test]
    fn vectors_may_lie_along_any_dimension() {
        let unit = l2_normalize(vectors(&Device::default()).transpose(), 0);
        assert_near(unit, [[0.6, 0.0], [0.0, 0.0], [0.8, 0.0]], ROUNDING);
    }

    #[test]
    fn pooling_is_the_mean_over_places() {
        let maps = Tensor::<1>::from_floats([1.0, 3.0, 5.0, 0.0, 6.0, 3.0], &Device::default());
        assert_near(
            global_average_pool(maps.reshape([1, 2, 1, 3])),
            [[3.0, 3.0]],
            ROUNDING,
        );
    }

    #[test]
    fn the_gradient_is_orthogonal_to_the_vector_and_finite_at_zero() {
        let device = Device::default().autodiff();
        let x = vectors(&device).require_grad();
        let pull = Tensor::from_floats([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]], &device);
        let gradients = (l2_normalize(x.clone(), 1) * pull).sum().backward();
        // (p - u (u.p)) / |x| with u = (.6, 0, .8), p = (1, 2, -1), |x| = 5
        let expected = [[0.224, 0.4, -0.168], [0.0, 0.0, 0.0]];
        assert_near(x.grad(&gradients).unwrap(), expected, ROUNDING);
    }
}
