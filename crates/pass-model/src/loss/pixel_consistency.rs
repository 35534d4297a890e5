//! Pixel-to-propagation consistency: the pixel-level loss of PixPro, on which PASS_p builds.
//!
//! Xie et al. 2021 (<https://arxiv.org/abs/2011.10043>, §3.2). Pixels of the two views that lie
//! close to each other in the picture are positive pairs; the propagated embedding of one follows
//! the momentum encoder's embedding of the other.

use burn::tensor::{Int, Tensor, assert_shape};

use crate::precision::product;

/// Added to the number of positive pairs of a picture, as in the published program.
const LEAST_PAIRS: f64 = 1e-6;

/// Which pixels of the two views are positive pairs: 1 where the distance of their centres in the
/// picture is below `ratio` times the longer diagonal of a pixel of the two views, else 0.
///
/// # Shapes
///
/// - `frames`: `[2 · batch, 4]`, for each view of each picture left, upper, right and lower edge in
///   shares of the picture, all pictures of view 0 first; left and right are exchanged in a mirrored
///   view
/// - output: `[batch, height · width, height · width]`, pixels of view 0, then of view 1
///
/// # Panics
///
/// If the frames are not those of two views.
pub fn positive_pairs(frames: Tensor<2>, [height, width]: [usize; 2], ratio: f64) -> Tensor<3> {
    let [rows, _] = frames.dims();
    assert_shape!(frames, [rows, 4]);
    assert!(rows % 2 == 0, "{rows} frames are not those of two views");
    let frames = frames.inner();
    let batch = rows / 2;
    let [first, second] = [0, 1].map(|view| frames.clone().narrow(0, view * batch, batch));
    let longest = diagonals(&first, [height, width])
        .max_pair(diagonals(&second, [height, width]))
        .reshape([batch, 1, 1]);
    let apart = |axis: usize| {
        let [first, second] = [&first, &second].map(|view| centres(view, [height, width], axis));
        first.unsqueeze_dim::<3>(2) - second.unsqueeze_dim::<3>(1)
    };
    let distances = (apart(0).square() + apart(1).square()).sqrt();
    (distances / longest).lower_elem(ratio).float()
}

/// Consistency loss of both directions, in `[-4, 4]`.
///
/// Of each direction `-2` times the mean over pictures of the mean cosine of their positive pairs. A
/// picture without positive pairs counts as 0. The gradient flows into `propagated` only.
///
/// # Shapes
///
/// - `propagated`, `target`: `[2 · batch, channels, height, width]`, unit vectors at each pixel, all
///   pictures of view 0 first
/// - `positive`: `[batch, height · width, height · width]`, see [`positive_pairs`]
/// - output: `[1]`
///
/// # Panics
///
/// If the shapes disagree.
pub fn pixel_consistency_loss(
    propagated: Tensor<4>,
    target: Tensor<4>,
    positive: Tensor<3>,
) -> Tensor<1> {
    let [rows, channels, height, width] = propagated.dims();
    assert_shape!(target, [rows, channels, height, width]);
    let (batch, pixels) = (rows / 2, height * width);
    assert_shape!(positive, [batch, pixels, pixels]);
    let views = |maps: Tensor<4>| {
        let maps = maps.reshape([rows, channels, pixels]);
        [0, 1].map(|view| maps.clone().narrow(0, view * batch, batch))
    };
    let [first, second] = views(propagated);
    let [first_target, second_target] = views(target.detach());
    let forth = direction(first, second_target, positive.clone());
    forth + direction(second, first_target, positive.swap_dims(1, 2))
}

/// `-2` times the mean cosine of the positive pairs; pixels of `own` are the rows of `positive`.
fn direction(own: Tensor<3>, target: Tensor<3>, positive: Tensor<3>) -> Tensor<1> {
    let [batch, _, _] = positive.dims();
    let pairs = positive.clone().sum_dim(2).sum_dim(1) + LEAST_PAIRS; // [batch, 1, 1]
    let cosines = product(own.swap_dims(1, 2), target);
    (cosines * positive / pairs).sum() * (-2.0 / batch as f64)
}

/// Length of a pixel's diagonal in each view, `[batch]`.
fn diagonals(frames: &Tensor<2>, [height, width]: [usize; 2]) -> Tensor<1> {
    let wide = extent(frames, 0) / width as f64;
    let high = extent(frames, 1) / height as f64;
    (wide.square() + high.square()).sqrt().squeeze_dim(1)
}

/// Signed extent along an axis (0: from left to right), `[batch, 1]`.
fn extent(frames: &Tensor<2>, axis: usize) -> Tensor<2> {
    frames.clone().narrow(1, axis + 2, 1) - frames.clone().narrow(1, axis, 1)
}

/// Coordinates of the pixels' centres along an axis, `[batch, height · width]`.
fn centres(frames: &Tensor<2>, [height, width]: [usize; 2], axis: usize) -> Tensor<2> {
    let size = [width, height][axis];
    let pixels = Tensor::<1, Int>::arange(0..(height * width) as i64, &frames.device());
    let steps = match axis {
        0 => pixels.remainder_scalar(width as i64),
        _ => pixels.div_scalar(width as i64),
    };
    let shares = (steps.float() + 0.5) / size as f64;
    frames.clone().narrow(1, axis, 1) + extent(frames, axis) * shares.unsqueeze_dim::<2>(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use golden::assert_near;

    const ROUNDING: [f64; 2] = [1e-5, 1e-6];

    fn frames(views: [[f32; 4]; 2]) -> Tensor<2> {
        Tensor::from_floats(views, &Device::default())
    }

    /// Unit vectors along the first or the second channel, `[1, 2, 1, 2]`.
    fn map(along: [usize; 2]) -> Tensor<4> {
        let channel = |c: usize| along.map(|a| f32::from(u8::from(a == c)));
        Tensor::from_floats([[[channel(0)], [channel(1)]]], &Device::default())
    }

    /// Square pixels: neighbours are 0.707 diagonals apart.
    #[test]
    fn a_view_of_itself_pairs_each_pixel_with_itself() {
        let whole = [0.0, 0.0, 0.9, 0.6];
        let pairs = positive_pairs(frames([whole, whole]), [2, 3], 0.7);
        let same = Tensor::<2>::eye(6, &Device::default()).unsqueeze::<3>();
        assert_near(pairs, same.into_data(), ROUNDING);
    }

    #[test]
    fn a_mirrored_view_pairs_columns_from_the_other_end() {
        let pairs = positive_pairs(
            frames([[0.0, 0.0, 0.9, 0.3], [0.9, 0.0, 0.0, 0.3]]),
            [1, 3],
            0.7,
        );
        let mirrored = [[[0.0f32, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]];
        assert_near(pairs, mirrored, ROUNDING);
    }

    #[test]
    fn views_apart_have_no_pairs_and_cost_nothing() {
        let apart = frames([[0.0, 0.0, 0.2, 0.2], [0.7, 0.7, 1.0, 1.0]]);
        let pairs = positive_pairs(apart, [1, 2], 0.7);
        assert_near(pairs.clone().sum(), [0.0f32], ROUNDING);
        let maps = Tensor::cat(vec![map([0, 1]), map([0, 1])], 0);
        assert_near(
            pixel_consistency_loss(maps.clone(), maps, pairs),
            [0.0],
            ROUNDING,
        );
    }

    #[test]
    fn narrow_pixels_pair_with_their_neighbours_too() {
        let whole = [0.0, 0.0, 1.0, 1.0];
        // Each 1/2 wide and 1 high: neighbours are 0.5 / 1.118 = 0.447 diagonals apart.
        let pairs = positive_pairs(frames([whole, whole]), [1, 2], 0.7);
        assert_near(pairs, [[[1.0f32, 1.0], [1.0, 1.0]]], ROUNDING);
    }

    #[test]
    fn equal_embeddings_of_all_pairs_score_minus_four() {
        let whole = [0.0, 0.0, 1.0, 0.5];
        let pairs = positive_pairs(frames([whole, whole]), [1, 2], 0.7);
        let maps = Tensor::cat(vec![map([0, 1]), map([0, 1])], 0);
        let loss = pixel_consistency_loss(maps.clone(), maps, pairs);
        assert_near(loss, [-4.0], ROUNDING);
    }
}
