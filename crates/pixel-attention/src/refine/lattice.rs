//! Gaussian filtering of values at scattered points, by the permutohedral lattice.
//!
//! Adams, Baek and Davis 2010, *Fast High-Dimensional Filtering Using the Permutohedral Lattice*,
//! <https://doi.org/10.1111/j.1467-8659.2009.01645.x>. Each point gives its value to the corners of the
//! simplex around it, the corners are blurred along the lattice's axes, and each point takes the mean of
//! its corners.

use std::collections::HashMap;

/// Points in `D` dimensions, whose distances are measured in standard deviations.
pub(super) struct Lattice<const D: usize> {
    /// For each point `D + 1` corners and their weights, which add up to 1.
    corners: Vec<(u32, f32)>,
    /// For each axis and corner the corners on both sides; the number of corners where there is none.
    beside: Vec<Vec<[u32; 2]>>,
    /// Number of different corners.
    size: usize,
}

type Key<const D: usize> = [i32; D];

impl<const D: usize> Lattice<D> {
    pub(super) fn new(points: impl Iterator<Item = [f32; D]>) -> Self {
        let mut ids = HashMap::new();
        let mut keys = Vec::new();
        let mut corners = Vec::new();
        for point in points {
            for (key, weight) in simplex(point) {
                let id = *ids.entry(key).or_insert_with(|| {
                    keys.push(key);
                    keys.len() as u32 - 1
                });
                corners.push((id, weight));
            }
        }
        let none = keys.len() as u32;
        let find = |key: Key<D>| ids.get(&key).copied().unwrap_or(none);
        let along = |axis| keys.iter().map(|&key| step(key, axis).map(find)).collect();
        Self {
            corners,
            beside: (0..=D).map(along).collect(),
            size: keys.len(),
        }
    }

    /// For each point the sum of the values of all points, weighed by `exp(-d²/2)` of their distance
    /// `d`, up to the lattice's error.
    ///
    /// # Shapes
    ///
    /// - `values`: `[points, channels]`, row by row; output: the same
    pub(super) fn filter(&self, values: &[f32], channels: usize) -> Vec<f32> {
        let mut at_corners = self.splat(values, channels);
        for beside in &self.beside {
            at_corners = blur(&at_corners, beside, channels);
        }
        self.slice(&at_corners, channels)
    }

    /// Also zeros behind the last corner, for neighbours that are absent.
    fn splat(&self, values: &[f32], channels: usize) -> Vec<f32> {
        let mut at_corners = vec![0.0; (self.size + 1) * channels];
        let points = self.corners.chunks_exact(D + 1);
        for (corners, values) in points.zip(values.chunks_exact(channels)) {
            for &(corner, weight) in corners {
                add_scaled(row_mut(&mut at_corners, corner, channels), values, weight);
            }
        }
        at_corners
    }

    fn slice(&self, at_corners: &[f32], channels: usize) -> Vec<f32> {
        // What the blur makes of a single corner in the middle of a full lattice.
        let scale = 1.0 / (1.0 + 0.5f32.powi(D as i32));
        let mut values = vec![0.0; self.corners.len() / (D + 1) * channels];
        let points = self.corners.chunks_exact(D + 1);
        for (corners, values) in points.zip(values.chunks_exact_mut(channels)) {
            for &(corner, weight) in corners {
                add_scaled(values, row(at_corners, corner, channels), weight * scale);
            }
        }
        values
    }
}

/// Each corner plus half of its neighbours along an axis.
fn blur(at_corners: &[f32], beside: &[[u32; 2]], channels: usize) -> Vec<f32> {
    let mut blurred = at_corners.to_vec();
    for (values, sides) in blurred.chunks_exact_mut(channels).zip(beside) {
        for &side in sides {
            add_scaled(values, row(at_corners, side, channels), 0.5);
        }
    }
    blurred
}

fn row(values: &[f32], at: u32, channels: usize) -> &[f32] {
    &values[at as usize * channels..][..channels]
}

fn row_mut(values: &mut [f32], at: u32, channels: usize) -> &mut [f32] {
    &mut values[at as usize * channels..][..channels]
}

fn add_scaled(sum: &mut [f32], values: &[f32], scale: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

/// The corners of the simplex that holds a point, by the first `D` of their `D + 1` coordinates, and
/// the point's barycentric coordinates.
fn simplex<const D: usize>(point: [f32; D]) -> Vec<(Key<D>, f32)> {
    let elevated = elevate(point);
    let (nearest, rank) = nearest_remainder_0(&elevated);
    let sides = D as i32 + 1;
    let mut weights = vec![0.0f32; D + 2];
    for at in 0..=D {
        let above = (elevated[at] - nearest[at] as f32) / sides as f32;
        weights[D - rank[at] as usize] += above;
        weights[D + 1 - rank[at] as usize] -= above;
    }
    weights[0] += 1.0 + weights[D + 1];
    let corner = |remainder: i32| {
        std::array::from_fn(|at| {
            let wrapped = rank[at] > D as i32 - remainder;
            nearest[at] + remainder - if wrapped { sides } else { 0 }
        })
    };
    let corners = (0..sides).map(corner);
    corners.zip(weights).collect()
}

/// The point in the plane of `D + 1` coordinates that add up to 0, scaled so that the blur has the
/// standard deviation 1.
fn elevate<const D: usize>(point: [f32; D]) -> Vec<f32> {
    let of_blur = (D + 1) as f32 * (2.0f32 / 3.0).sqrt();
    let mut elevated = vec![0.0; D + 1];
    let mut sum = 0.0;
    for at in (1..=D).rev() {
        let scaled = point[at - 1] * of_blur / ((at * (at + 1)) as f32).sqrt();
        elevated[at] = sum - at as f32 * scaled;
        sum += scaled;
    }
    elevated[0] = sum;
    elevated
}

/// The nearest corner whose coordinates are multiples of `D + 1`, and the rank of each coordinate of
/// the way from there, the largest first.
fn nearest_remainder_0(elevated: &[f32]) -> (Vec<i32>, Vec<i32>) {
    let sides = elevated.len() as i32;
    let rounded = elevated
        .iter()
        .map(|value| (value / sides as f32).round() as i32);
    let mut nearest: Vec<i32> = rounded.map(|multiple| multiple * sides).collect();
    let excess = nearest.iter().sum::<i32>() / sides;
    let away: Vec<f32> = elevated
        .iter()
        .zip(&nearest)
        .map(|(e, &n)| e - n as f32)
        .collect();
    let mut rank = ranks(&away);
    // The coordinates of a corner add up to 0; those that were rounded most go back.
    for (rank, nearest) in rank.iter_mut().zip(&mut nearest) {
        *rank += excess;
        let turn = if *rank < 0 {
            1
        } else {
            -i32::from(*rank >= sides)
        };
        *rank += turn * sides;
        *nearest += turn * sides;
    }
    (nearest, rank)
}

/// How many numbers are larger than each, or equal to it and earlier.
fn ranks(numbers: &[f32]) -> Vec<i32> {
    let rank = |at: usize| {
        let before = |&other: &usize| {
            numbers[other] > numbers[at] || (numbers[other] == numbers[at] && other < at)
        };
        (0..numbers.len()).filter(before).count() as i32
    };
    (0..numbers.len()).map(rank).collect()
}

/// The corners on both sides of one along an axis; the last axis is the coordinate that keys leave out.
fn step<const D: usize>(key: Key<D>, axis: usize) -> [Key<D>; 2] {
    [1, -1].map(|sign| {
        std::array::from_fn(|at| key[at] + sign * if at == axis { D as i32 } else { -1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_weighted_mean_of_its_corners() {
        for point in [[0.3f32, -1.7, 2.2], [0.0; 3], [5.5, 0.25, -0.75]] {
            let elevated = elevate(point);
            let corners = simplex(point);
            assert_eq!(corners.len(), 4);
            let total: f32 = corners.iter().map(|corner| corner.1).sum();
            assert!((total - 1.0).abs() < 1e-5);
            for at in 0..3 {
                let terms = corners.iter().map(|(key, weight)| key[at] as f32 * weight);
                assert!(
                    (terms.sum::<f32>() - elevated[at]).abs() < 1e-4,
                    "{point:?}"
                );
            }
            assert!(corners.iter().all(|corner| corner.1 > -1e-5));
        }
    }

    /// Normalised sums of a disc on a plane of points beside the plain double loop.
    #[test]
    fn the_filter_is_nearly_a_gaussian() {
        let points: Vec<[f32; 2]> = (0..40 * 30)
            .map(|at| [(at % 40) as f32 / 3.0, (at / 40) as f32 / 3.0])
            .collect();
        let in_disc = |at: i32| (at % 40 - 20).pow(2) + (at / 40 - 15).pow(2) <= 36;
        let values: Vec<f32> = (0..40 * 30)
            .map(|at| f32::from(u8::from(in_disc(at))))
            .collect();
        let ones = vec![1.0; values.len()];
        let lattice = Lattice::new(points.iter().copied());
        let (sums, weights) = (lattice.filter(&values, 1), lattice.filter(&ones, 1));
        for (at, point) in points.iter().enumerate() {
            let gauss = |other: &[f32; 2]| {
                let squared = (point[0] - other[0]).powi(2) + (point[1] - other[1]).powi(2);
                (-squared / 2.0).exp()
            };
            let weight: f32 = points.iter().map(gauss).sum();
            let pairs = points.iter().zip(&values);
            let exact: f32 = pairs.map(|(other, value)| gauss(other) * value).sum();
            let found = sums[at] / weights[at];
            assert!(
                (found - exact / weight).abs() < 0.05,
                "{found} {}",
                exact / weight
            );
        }
    }
}
