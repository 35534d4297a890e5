//! Embeddings of places, learned on a square grid and resized to that of a picture.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::precision::product;

/// How a table of positions is brought to another grid, always by cubic interpolation with the centres
/// of places at ½.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionRule {
    /// A = −¾ whatever the scale, which is taken of 0.1 places more than there are: DINO, SERE, iBOT,
    /// and DINOv2 without registers.
    #[default]
    Offset,
    /// A = −¾ whatever the scale: mmsegmentation.
    Size,
    /// A = −½ with a support that grows where the grid shrinks: timm, and DINOv2 with registers.
    Antialias,
}

impl PositionRule {
    /// The table of a square grid at the size of another.
    ///
    /// # Shapes
    ///
    /// - `table`: `[1, side², width]`, row by row
    /// - `grid`: rows and columns
    /// - output: `[1, rows · columns, width]`
    pub(super) fn resize(self, table: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let [_, places, width] = table.dims();
        let side = places.isqrt();
        let [rows, columns] = grid.map(|to| self.matrix(side, to, &table.device()));
        let table = product(rows, table.reshape([side, side * width]));
        let table = table.reshape([grid[0], side, width]);
        product(columns.unsqueeze::<3>(), table).reshape([1, grid[0] * grid[1], width])
    }

    /// `[to, from]`, computed once.
    fn matrix(self, from: usize, to: usize, device: &Device) -> Tensor<2> {
        type Matrices = HashMap<(PositionRule, usize, usize), TensorData>;
        static KNOWN: Mutex<Option<Matrices>> = Mutex::new(None);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        let data = known.entry((self, from, to)).or_insert_with(|| {
            let weights = self.weights(from, to).into_iter();
            TensorData::new(weights.map(|weight| weight as f32).collect(), [to, from])
        });
        Tensor::from_data(data.clone(), &device.clone().without_autodiff())
    }

    /// The weights of the places of a row of `from` in each of `to`, row-major; they sum to 1.
    fn weights(self, from: usize, to: usize) -> Vec<f64> {
        let mut matrix = vec![0.0; to * from];
        let (from, to) = (from as f64, to as f64);
        for (place, row) in matrix.chunks_exact_mut(from as usize).enumerate() {
            let centre = place as f64 + 0.5;
            match self {
                Self::Offset => interpolate(row, centre * from / (to + 0.1)),
                Self::Size => interpolate(row, centre * from / to),
                Self::Antialias => average(row, centre, from / to),
            }
        }
        matrix
    }
}

/// Weights of the four places around a point; beyond the ends the last place repeats.
fn interpolate(row: &mut [f64], point: f64) {
    let source = point - 0.5;
    let last = row.len() as isize - 1;
    for tap in -1..=2 {
        let place = source.floor() as isize + tap;
        row[place.clamp(0, last) as usize] += cubic(-0.75, source - place as f64);
    }
}

/// Weights of the places around the centre of a larger one, as Pillow's `BICUBIC`.
fn average(row: &mut [f64], centre: f64, scale: f64) {
    let (centre, stretch) = (centre * scale, scale.max(1.0));
    let first = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
    let end = ((centre + 2.0 * stretch + 0.5) as usize).min(row.len());
    for (place, weight) in row.iter_mut().enumerate().take(end).skip(first) {
        *weight = cubic(-0.5, (place as f64 + 0.5 - centre) / stretch);
    }
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|weight| *weight /= sum);
}

/// The kernel of cubic convolution (Keys 1981, <https://doi.org/10.1109/TASSP.1981.1163711>).
fn cubic(a: f64, distance: f64) -> f64 {
    match distance.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => a * (((x - 5.0) * x + 8.0) * x - 4.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rule: PositionRule, to: usize) -> Vec<f64> {
        let values = [0.0, 1.0, 4.0, 9.0];
        let weights = rule.weights(4, to);
        let rows = weights.chunks_exact(4);
        rows.map(|row| {
            row.iter()
                .zip(values)
                .map(|(weight, value)| weight * value)
                .sum()
        })
        .collect()
    }

    #[track_caller]
    fn assert_figures(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < tolerance,
                "{found}, not {expected}"
            );
        }
    }

    /// What PyTorch gives in float64.
    #[test]
    fn rows_are_resized_as_pytorch_does() {
        let plain = [
            -0.0868055556,
            0.21875,
            1.4305555556,
            3.1527777778,
            6.78125,
            9.4340277778,
        ];
        assert_figures(&row(PositionRule::Size, 6), &plain, 1e-9);
        let smooth = [
            -0.0657894737,
            0.2941176471,
            1.3611111111,
            3.3611111111,
            6.8235294118,
            9.3289473684,
        ];
        assert_figures(&row(PositionRule::Antialias, 6), &smooth, 1e-9);
        let plain = [0.0914351852, 2.125, 8.3344907407];
        assert_figures(&row(PositionRule::Size, 3), &plain, 1e-9);
        let smooth = [0.0755148741, 2.3591954023, 7.9359267735];
        assert_figures(&row(PositionRule::Antialias, 3), &smooth, 1e-9);
    }

    #[test]
    fn tables_are_resized_as_pytorch_does() {
        let device = Device::default();
        let table: Vec<f32> = (0..16)
            .map(|place: i32| (place * place) as f32 / 16.0)
            .collect();
        let table = Tensor::<1>::from_floats(table.as_slice(), &device).reshape([1, 16, 1]);
        for (rule, expected) in [
            (
                PositionRule::Offset,
                [
                    -0.08965528,
                    -0.09168203,
                    -0.02610503,
                    0.14747203,
                    0.34687520,
                ],
            ),
            (
                PositionRule::Size,
                [
                    -0.08796571,
                    -0.08892318,
                    -0.01909722,
                    0.16735373,
                    0.36183377,
                ],
            ),
            (
                PositionRule::Antialias,
                [-0.06707047, -0.05550967, 0.02549342, 0.20791132, 0.41012462],
            ),
        ] {
            let resized = rule.resize(table.clone(), [6, 5]);
            assert_eq!(resized.dims(), [1, 30, 1]);
            let values: Vec<f32> = resized.into_data().try_to_vec().unwrap();
            let values: Vec<f64> = values[..5].iter().map(|&value| value.into()).collect();
            assert_figures(&values, &expected, 2e-6);
        }
    }

    #[test]
    fn without_an_offset_the_same_grid_changes_nothing() {
        for rule in [PositionRule::Size, PositionRule::Antialias] {
            let weights = rule.weights(5, 5);
            let is_one = |place: usize| place / 5 == place % 5;
            for (place, weight) in weights.into_iter().enumerate() {
                let expected = if is_one(place) { 1.0 } else { 0.0 };
                assert!((weight - expected).abs() < 1e-12, "{rule:?} at {place}");
            }
        }
        assert!(PositionRule::Offset.weights(5, 5)[12] < 0.9999);
    }
}
