//! Overlap sampling: reads two crops' feature maps at the same places of the picture.
//!
//! Pixel-to-pixel alignment ([`crate::loss::p2p`]) compares the two large crops where they
//! overlap. The data pipeline lays a 7×7 grid over the overlap and states its points in the
//! coordinates of each crop; this file reads the maps there. Sampling is bilinear with zeros
//! outside the map, PyTorch's `grid_sample` with `align_corners = false`, written as one batched
//! matrix product, which is differentiable and fast on every backend.

use burn::tensor::{Device, Int, Tensor, TensorData, assert_shape};
use serde::{Deserialize, Serialize};

use crate::{
    loss::p2p_kinds::P2pKind,
    precision::{product, widened},
};

/// Points along one side of the overlap grid.
pub const OVERLAP_GRID: usize = 7;

const POINTS: usize = OVERLAP_GRID * OVERLAP_GRID;

/// Pictures whose two crops do not overlap, in P2P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyPairs {
    /// They count as 0 in the mean, and the predictor sees zeros: as the reference.
    #[default]
    Count,
    /// Neither the predictor nor the loss sees them.
    LeaveOut,
}

/// Where P2P samples the overlap of the two crops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapSampling {
    /// From edge to edge of the overlap: as the reference, where points on the rim of a crop weigh
    /// half.
    #[default]
    Edges,
    /// At the centres of 7×7 equal cells.
    CellCentres,
}

/// Variants of P2P; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentConfig {
    /// How pixels are compared (Table VIII (a)).
    pub kind: P2pKind,
    /// Whether P2P has a projector of its own (Table VIII (b)).
    pub projection: bool,
    /// Pictures whose crops do not overlap.
    pub empty_pairs: EmptyPairs,
    /// Where the overlap is sampled.
    pub sampling: OverlapSampling,
}

impl Default for AlignmentConfig {
    fn default() -> Self {
        Self {
            kind: P2pKind::NonContrastive,
            projection: true,
            empty_pairs: EmptyPairs::Count,
            sampling: OverlapSampling::Edges,
        }
    }
}

/// Where P2P looks.
#[derive(Debug, Clone)]
pub struct OverlapPoints {
    /// For each row of the first group the 7×7 points (x, y) of the overlap in `-1..=1`,
    /// `[2·b, 49, 2]`.
    pub grids: Tensor<3>,
    /// The pictures to look at, indices below `b`; all if absent, as in the reference, where
    /// pictures without overlap give zeros to the predictor and to the loss.
    pub pictures: Option<Vec<usize>>,
}

impl OverlapPoints {
    /// The grids of all pictures.
    pub fn all(grids: Tensor<3>) -> Self {
        Self {
            grids,
            pictures: None,
        }
    }
}

/// Feature maps sampled at the 7×7 points of the overlap grids, in float32.
///
/// A picture whose crops do not overlap has a grid of -2 everywhere; it lies outside the map and
/// gives zeros. A point on the crop's border lies half a pixel outside the outermost pixel's
/// centre and gets half of that pixel. No gradient flows into the grids.
///
/// # Shapes
///
/// - `maps`: `[n, channels, height, width]`
/// - `grids`: `[n, 49, 2]`, points in row-major order of the grid, `(x, y)` in `[-1, 1]` from the
///   left (upper) to the right (lower) edge of the crop
/// - output: `[n, channels, 7, 7]`
///
/// # Panics
///
/// If the grids do not have these shapes.
pub fn sample_overlap(maps: Tensor<4>, grids: Tensor<3>) -> Tensor<4> {
    let [n, channels, height, width] = maps.dims();
    assert_shape!(grids, [n, POINTS, 2]);
    let weights = sampling_weights(grids.inner(), height, width); // [n, height·width, 49]
    let maps = widened(maps).reshape([n, channels, height * width]);
    let sampled = product(maps, weights);
    sampled.reshape([n, channels, OVERLAP_GRID, OVERLAP_GRID])
}

/// `[n, height·width, 49]`: the weight of each pixel in each point.
fn sampling_weights(grids: Tensor<3>, height: usize, width: usize) -> Tensor<3> {
    let [n, points, _] = grids.dims();
    let across = axis_weights(grids.clone().narrow(2, 0, 1), width);
    let down = axis_weights(grids.narrow(2, 1, 1), height);
    let weights = down.unsqueeze_dim::<4>(2) * across.unsqueeze_dim::<4>(1);
    weights.reshape([n, height * width, points])
}

/// `[n, size, points]`: one axis' weight of each pixel, from coordinates `[n, points, 1]`.
///
/// Bilinear weights fall linearly from 1 at a pixel's centre to 0 at its neighbours', so pixels
/// farther away, and all pixels of a point far outside, get 0 without a special case.
fn axis_weights(coordinates: Tensor<3>, size: usize) -> Tensor<3> {
    let device = coordinates.device();
    // ((g + 1) · size - 1) / 2
    let pixels = (coordinates.swap_dims(1, 2) + 1.0) * (size as f64 / 2.0) - 0.5;
    let centres = Tensor::<1, Int>::arange(0..size as i64, &device)
        .float()
        .reshape([1, size, 1]);
    (-(pixels - centres).abs() + 1.0).clamp_min(0.0)
}

/// The rows of some pictures in both crops, `[2·P]`.
pub(crate) fn rows_of_pictures(
    pictures: &[usize],
    batch: usize,
    device: &Device,
) -> Tensor<1, Int> {
    let rows = [0, batch].into_iter();
    let rows = rows.flat_map(|crop| pictures.iter().map(move |picture| (crop + picture) as i32));
    Tensor::from_data(
        TensorData::new(rows.collect::<Vec<_>>(), [2 * pictures.len()]),
        device,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, ops::GridSampleOptions};
    use golden::assert_near;

    /// Coordinates up to 7 in float32 are exact to 5e-7, and so are the weights.
    const ROUNDING: [f64; 2] = [1e-6, 3e-6];

    fn maps(shape: [usize; 4]) -> Tensor<4> {
        let device = Device::default();
        device.seed(5);
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)
    }

    /// The same grid for each of `n` maps: `at(i)` for column i and row i.
    fn grids(n: usize, at: impl Fn(usize) -> f32) -> Tensor<3> {
        let points = (0..POINTS).flat_map(|p| [at(p % OVERLAP_GRID), at(p / OVERLAP_GRID)]);
        let data = TensorData::new(points.collect::<Vec<f32>>(), [1, POINTS, 2]);
        Tensor::<3>::from_data(data, &Device::default()).repeat_dim(0, n)
    }

    #[test]
    fn points_at_the_pixel_centres_give_the_map_itself() {
        let maps = maps([3, 2, 7, 7]);
        let sampled = sample_overlap(maps.clone(), grids(3, |i| (2 * i + 1) as f32 / 7.0 - 1.0));
        assert_near(sampled, maps.into_data(), ROUNDING);
    }

    #[test]
    fn crops_without_overlap_give_exact_zeros() {
        let sampled = sample_overlap(maps([2, 3, 7, 7]), grids(2, |_| -2.0));
        assert_near(
            sampled,
            Tensor::<4>::zeros([2, 3, 7, 7], &Device::default()).into_data(),
            [0.0, 1e-30],
        );
    }

    #[test]
    fn the_crop_border_gets_half_a_pixel_and_the_corner_a_quarter() {
        let ones = Tensor::<4>::ones([1, 1, 7, 7], &Device::default());
        let sampled = sample_overlap(ones, grids(1, |i| i as f32 / 3.0 - 1.0));
        let top = sampled.slice([0..1, 0..1, 0..1, 0..7]);
        assert_near(top, [[[[0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]]]], ROUNDING);
    }

    #[test]
    fn x_runs_along_the_width() {
        let ramp = Tensor::<4>::from_floats(
            [[[[0.0, 10.0, 20.0], [1.0, 11.0, 21.0]]]],
            &Device::default(),
        );
        let points = (0..POINTS)
            .flat_map(|_| [2.0 / 3.0, -0.5])
            .collect::<Vec<f32>>();
        let grid = Tensor::from_data(TensorData::new(points, [1, POINTS, 2]), &Device::default());
        // x = 2/3 is the centre of the third column, y = -1/2 that of the first row
        assert_near(sample_overlap(ramp, grid).max(), [20.0], ROUNDING);
    }

    #[test]
    fn the_gradient_reaches_the_map_with_the_weights_of_the_points() {
        let device = Device::default().autodiff();
        let ones = Tensor::<4>::ones([1, 1, 7, 7], &device).require_grad();
        let grid = grids(1, |i| (2 * i + 1) as f32 / 7.0 - 1.0);
        let gradients = sample_overlap(ones.clone(), grid).sum().backward();
        assert_near(ones.grad(&gradients).unwrap(), ones.into_data(), ROUNDING);
    }

    #[test]
    fn agrees_with_pytorch_grid_sample() {
        let mut golden = golden::open("interpolate.npz");
        let device = Device::default();
        let grid = golden.tensor::<4>("grid", &device).reshape([1, POINTS, 2]);
        let sampled = sample_overlap(golden.tensor("x", &device), grid);
        assert_near(
            sampled,
            golden.data("grid_sample_bilinear_zeros_ac_false"),
            ROUNDING,
        );
    }

    #[test]
    fn agrees_with_burns_grid_sample_on_the_reference_grids() {
        let mut golden = golden::open("overlap_grid.npz");
        let maps = maps([11, 3, 7, 7]);
        for key in ["grid_q_f32", "grid_k_f32"] {
            let grid = golden.tensor::<4>(key, &Device::default());
            let expected = maps
                .clone()
                .grid_sample_2d(grid.clone(), GridSampleOptions::default());
            let sampled = sample_overlap(maps.clone(), grid.reshape([11, POINTS, 2]));
            assert_near(sampled, expected.into_data(), ROUNDING);
        }
    }
}
