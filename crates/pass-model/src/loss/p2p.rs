//! Pixel-to-pixel alignment (P2P): the same place of a picture gets the same embedding.
//!
//! PASS (§4.1.1, eq. 2) aligns the pixel embeddings of the two large crops where they overlap:
//! the prediction from one crop follows the projection of the other, which is held constant.

use burn::tensor::{Tensor, assert_shape};

use crate::normalize::divide_by_norm;

/// Norms below this one count as this one in the cosine (PyTorch's default).
const LEAST_NORM: f64 = 1e-8;

/// P2P loss: the negative mean cosine similarity between each crop's predictions and the other
/// crop's projections, over pictures and places.
///
/// Pictures without an overlap come in as zeros, score 0 and still count in the mean. The
/// gradient flows into `predicted` only.
///
/// # Shapes
///
/// - `projected`, `predicted`: `[2 · batch, channels, height, width]`, aligned to the overlap
///   grid ([`crate::overlap::sample_overlap`]), all pictures of crop 0 first
/// - output: `[1]`, in `[-1, 1]`
///
/// # Panics
///
/// If the shapes differ or the rows are not those of two crops.
pub fn p2p_loss(projected: Tensor<4>, predicted: Tensor<4>) -> Tensor<1> {
    let [rows, channels, height, width] = projected.dims();
    assert_shape!(predicted, [rows, channels, height, width]);
    assert!(rows % 2 == 0, "{rows} maps are not those of two crops");

    let projected = divide_by_norm(projected.inner(), 1, LEAST_NORM);
    let crops = projected.split(rows / 2, 0);
    let other = Tensor::cat(crops.into_iter().rev().collect(), 0);
    let cosines = other * divide_by_norm(predicted, 1, LEAST_NORM); // summed over channels below
    -cosines.sum() / (rows * height * width) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};
    use golden::{Arrays, assert_near};

    /// Sums of up to 1200 float32 products of unit vectors.
    const ROUNDING: [f64; 2] = [1e-5, 1e-7];

    fn maps() -> Tensor<4> {
        let device = Device::default();
        device.seed(2);
        Tensor::random([3, 4, 2, 5], Distribution::Normal(0.0, 1.0), &device)
    }

    #[test]
    fn perfect_predictions_of_the_other_crop_score_minus_one() {
        let (left, right) = (maps(), maps() * 0.5 + 0.3);
        let projected = Tensor::cat(vec![left.clone(), right.clone()], 0);
        let predicted = Tensor::cat(vec![right * 7.0, left * 3.0], 0);
        assert_near(p2p_loss(projected, predicted), [-1.0], ROUNDING);
    }

    #[test]
    fn pictures_without_overlap_count_as_zero() {
        let zeros = maps().zeros_like();
        let projected = Tensor::cat(vec![maps(), zeros.clone(), maps(), zeros], 0);
        assert_near(p2p_loss(projected.clone(), projected), [-0.5], ROUNDING);
    }

    #[test]
    fn all_zero_maps_have_a_finite_gradient() {
        let zeros = Tensor::<4>::zeros([2, 3, 2, 2], &Device::default().autodiff()).require_grad();
        let gradients = p2p_loss(zeros.clone(), zeros.clone()).backward();
        assert_near(
            zeros.grad(&gradients).unwrap(),
            zeros.into_data(),
            [0.0, 1e-30],
        );
    }

    fn check_golden(golden: &mut Arrays, case: &str) {
        let device = Device::default().autodiff();
        let projected = golden
            .tensor::<4>(&format!("{case}_z"), &device)
            .require_grad();
        let predicted = golden
            .tensor::<4>(&format!("{case}_p"), &device)
            .require_grad();
        let loss = p2p_loss(projected.clone(), predicted.clone());
        let gradients = loss.backward();
        let expected = golden.number(&format!("{case}_loss"));
        assert_near(loss, [expected as f32], ROUNDING);
        assert!(projected.grad(&gradients).is_none());
        let gradient = predicted.grad(&gradients).unwrap();
        assert_near(gradient, golden.data(&format!("{case}_grad_p")), ROUNDING);
    }

    #[test]
    fn agrees_with_the_golden_cases() {
        let mut golden = golden::open("p2p_loss.npz");
        for case in ["a", "b", "zeros"] {
            check_golden(&mut golden, case);
        }
    }
}
