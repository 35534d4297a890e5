//! Pixel cross-entropy: the loss of fine-tuning on pseudo labels.
//!
//! Every pixel counts the same and there are no class weights, as in PASS (§4.3). Bring the logits
//! to the size of the labels first ([`crate::resize::upsample_bilinear`]).

use burn::tensor::{Int, Tensor, activation::log_softmax, assert_shape};

/// Mean cross-entropy over all pixels, "other" included as class 0.
///
/// # Shapes
///
/// - `logits`: `[batch, classes + 1, height, width]`
/// - `labels`: `[batch, height, width]`, each in `0..=classes`; not checked here, because that
///   would wait for the device
/// - output: `[1]`
///
/// # Panics
///
/// If the shapes disagree.
pub fn pixel_cross_entropy(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    -log_probability_of(labels, logits).mean()
}

/// Mean cross-entropy over the pixels that are not labelled `ignored`.
///
/// Needed where labels are drawn masks, which leave some pixels undecided. Without any decided
/// pixel the loss is 0.
///
/// # Shapes
///
/// As [`pixel_cross_entropy`]; labels may also be `ignored`.
///
/// # Panics
///
/// If the shapes disagree.
pub fn pixel_cross_entropy_ignoring(
    logits: Tensor<4>,
    labels: Tensor<3, Int>,
    ignored: u16,
) -> Tensor<1> {
    let undecided = labels.clone().equal_elem(ignored);
    let decided = undecided.clone().bool_not().float().sum().clamp_min(1.0);
    let log_probability = log_probability_of(labels.mask_fill(undecided.clone(), 0), logits);
    -log_probability.mask_fill(undecided, 0.0).sum() / decided
}

/// `[batch, height, width]`: log softmax of the logits at the label.
fn log_probability_of(labels: Tensor<3, Int>, logits: Tensor<4>) -> Tensor<3> {
    let [batch, _, height, width] = logits.dims();
    assert_shape!(labels, [batch, height, width]);
    log_softmax(logits, 1)
        .gather(1, labels.unsqueeze_dim(1))
        .squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::upsample_bilinear;
    use burn::tensor::{Device, TensorData};
    use golden::assert_near;

    /// Logits near 20 are rounded to 2e-6.
    const ROUNDING: [f64; 2] = [1e-6, 5e-6];

    /// Two classes and "other" on a map of 1 × 2: logits (0, ln 2, ln 5) and (0, 0, 0).
    fn logits(device: &Device) -> Tensor<4> {
        let [two, five] = [2f32.ln(), 5f32.ln()];
        Tensor::from_floats([[[[0.0, 0.0]], [[two, 0.0]], [[five, 0.0]]]], device)
    }

    fn labels(labels: [i64; 2], device: &Device) -> Tensor<3, Int> {
        Tensor::from_data(TensorData::new(labels.to_vec(), [1, 1, 2]), device)
    }

    #[test]
    fn it_is_the_mean_negative_log_probability_of_the_labels() {
        let device = Device::default();
        let loss = pixel_cross_entropy(logits(&device), labels([2, 0], &device));
        assert_near(loss, [((8f32 / 5.0).ln() + 3f32.ln()) / 2.0], ROUNDING);
    }

    #[test]
    fn an_ignored_pixel_leaves_the_mean_and_gets_no_gradient() {
        let device = Device::default().autodiff();
        let logits = logits(&device).require_grad();
        let loss = pixel_cross_entropy_ignoring(logits.clone(), labels([2, 1000], &device), 1000);
        let gradient = logits.grad(&loss.backward()).unwrap();
        assert_near(loss, [(8f32 / 5.0).ln()], ROUNDING);
        let expected = [[[[0.125, 0.0]], [[0.25, 0.0]], [[-0.375, 0.0]]]];
        assert_near(gradient, expected, ROUNDING);
    }

    #[test]
    fn without_decided_pixels_the_loss_is_zero() {
        let device = Device::default();
        let loss = pixel_cross_entropy_ignoring(logits(&device), labels([7, 7], &device), 7);
        assert_near(loss, [0.0], ROUNDING);
    }

    #[test]
    fn with_nothing_ignored_both_forms_agree() {
        let device = Device::default();
        let plain = pixel_cross_entropy(logits(&device), labels([1, 2], &device));
        let other = pixel_cross_entropy_ignoring(logits(&device), labels([1, 2], &device), 1000);
        assert_near(other, plain.into_data(), ROUNDING);
    }

    #[test]
    fn agrees_with_the_golden_fine_tuning_loss() {
        let mut golden = golden::open("finetune_io.npz");
        let device = Device::default();
        let logits = upsample_bilinear(golden.tensor("output", &device), [32, 32]);
        assert_near(logits.clone(), golden.data("output_up"), ROUNDING);
        let loss = pixel_cross_entropy(logits, golden.integers("labels_half", &device));
        assert_near(loss, [golden.number("loss") as f32], ROUNDING);
    }
}
