//! Rows that are clustered.

use ndarray::Array2;
use pixel_attention::kmeans::normalize_rows;

use crate::Noise;

/// How far the noise outweighs the distance between two groups, for each column.
const SPREAD: f32 = 8.0;

/// The column that varies half as much as the first. Later ones vary less and less, as the principal
/// components of embeddings do: rows that vary alike in 2048 columns never leave their first cluster.
const HALF_COLUMN: f32 = 16.0;

/// Unit rows around random centres, part by part: what a clustering of picture embeddings sees.
///
/// The groups overlap, so that k-means does not come to rest within a few iterations.
pub struct Mixture {
    noise: Noise,
    dim: usize,
    groups: usize,
    /// `[groups, dim]`.
    centres: Vec<f32>,
}

impl Mixture {
    /// Rows of `dim` columns around `groups` centres.
    pub fn new(dim: usize, groups: usize) -> Self {
        let mut noise = Noise::new(0);
        let centres = noise.vector(groups * dim, -1.0, 1.0);
        Self {
            noise,
            dim,
            groups,
            centres,
        }
    }

    /// The next `points` rows.
    ///
    /// # Shapes
    ///
    /// - output: `[points, dim]`
    pub fn rows(&mut self, points: usize) -> Array2<f32> {
        let size = |column: usize| HALF_COLUMN / (HALF_COLUMN + column as f32);
        let sizes: Vec<f32> = (0..self.dim).map(size).collect();
        let mut values = Vec::with_capacity(points * self.dim);
        for _ in 0..points {
            let first = self.noise.below(self.groups) * self.dim;
            let centre = &self.centres[first..first + self.dim];
            let noise = &mut self.noise;
            let columns = centre.iter().zip(&sizes);
            values.extend(columns.map(|(c, size)| size * (c + noise.uniform(-SPREAD, SPREAD))));
        }
        let shape = (points, self.dim);
        let mut rows = Array2::from_shape_vec(shape, values).expect("points * dim values");
        normalize_rows(&mut rows);
        rows
    }
}

/// The first `points` rows of a [`Mixture`].
///
/// # Shapes
///
/// - output: `[points, dim]`
pub fn mixture(points: usize, dim: usize, groups: usize) -> Array2<f32> {
    Mixture::new(dim, groups).rows(points)
}
