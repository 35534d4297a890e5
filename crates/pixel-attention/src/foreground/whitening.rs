//! Half whitening: directions in which embeddings vary much weigh less than they would.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::unit;
use crate::{
    eigen::{self, Eigen},
    error::{Error, Result, at_least_one},
    products::{add_product, product_f64, squared_norm},
    rows::{Rows, for_each_part_of},
};

/// Added to each standard deviation before its root is taken, so that no direction is blown up.
const LEAST_DEVIATION: f64 = 1e-3;

/// Directions whose variance is below this share of the largest are rounding, and left out.
const LEAST_VARIANCE: f64 = 1e-10;

/// Rows that are multiplied at once.
const BLOCK: usize = 1024;

/// Minus the mean of all embeddings, projected on their principal directions, each divided by the
/// fourth root of its variance, and brought to length 1.
///
/// Full whitening divides by the square root, which makes noise as loud as what tells categories
/// apart; none lets a few directions decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct HalfWhitening {
    mean: Array1<f32>,
    /// The directions, each divided by the fourth root of its variance, `[dimensions, columns]`.
    projection: Array2<f32>,
}

impl HalfWhitening {
    /// Looks at every row twice. `dimensions` directions are kept, or as many as the rows vary in.
    /// The result does not depend on the number of threads. The largest entry of a direction is
    /// positive.
    ///
    /// Cost: `rows · columns²` multiplications. Memory: two tables of `columns · columns` `f64`.
    ///
    /// # Errors
    ///
    /// No row, rows that are all equal, `dimensions` of 0, a row with NaN or infinity, a file that
    /// cannot be read.
    pub fn fit(rows: &dyn Rows, dimensions: usize) -> Result<Self> {
        at_least_one("whitening.dimensions", dimensions)?;
        if rows.count() == 0 || rows.columns() == 0 {
            let (what, reason) = ("embeddings", "there is none to whiten".into());
            return Err(Error::Shape { what, reason });
        }
        let mean = mean(rows)?;
        let covariance = covariance(rows, &mean)?;
        let kept = dimensions.min(rows.columns());
        let found = eigen::largest_of(&covariance, kept);
        let least = LEAST_VARIANCE * found[0].value;
        let varying = found.iter().take_while(|eigen| eigen.value > least);
        let scaled: Vec<f32> = varying.flat_map(scaled).collect();
        let projection =
            Array2::from_shape_vec((scaled.len() / rows.columns(), rows.columns()), scaled);
        let mean = mean.mapv(|value| value as f32);
        Self::new(mean, projection.expect("whole rows"))
    }

    /// [`Error::Shape`] if there is no direction, or not a value for each column of the mean.
    fn new(mean: Array1<f32>, projection: Array2<f32>) -> Result<Self> {
        let (dimensions, columns) = projection.dim();
        if dimensions == 0 || columns != mean.len() || columns == 0 {
            let what = "half whitening";
            let reason = format!(
                "{dimensions} directions of {columns} columns and a mean of {}; embeddings that are \
                 all equal have no direction",
                mean.len()
            );
            return Err(Error::Shape { what, reason });
        }
        Ok(Self { mean, projection })
    }

    /// Directions that are kept, which is the length of the rows that [`apply`](Self::apply) makes.
    pub fn dimensions(&self) -> usize {
        self.projection.nrows()
    }

    /// A row of `dimensions` values and of length 1; zeros where `row` is the mean.
    ///
    /// # Panics
    ///
    /// If `row` has another number of columns than the rows before.
    pub fn apply(&self, row: &[f32]) -> Vec<f32> {
        assert_eq!(row.len(), self.mean.len(), "columns of a row");
        let centred = row.iter().zip(&self.mean);
        let centred: Vec<f64> = centred
            .map(|(&x, &m)| f64::from(x) - f64::from(m))
            .collect();
        let directions = self.projection.rows().into_iter();
        let along = directions.map(|direction| {
            let direction = direction.as_slice().expect("standard layout");
            product_f64(direction, &centred)
        });
        let projected: Vec<f64> = along.collect();
        unit(&projected).iter().map(|&value| value as f32).collect()
    }
}

/// A direction divided by the fourth root of its variance.
fn scaled(Eigen { value, vector }: &Eigen) -> Vec<f32> {
    let scale = (value.sqrt() + LEAST_DEVIATION).sqrt();
    vector.iter().map(|entry| (entry / scale) as f32).collect()
}

/// The mean of rows that are all finite.
fn mean(rows: &dyn Rows) -> Result<Array1<f64>> {
    let mut sum = vec![0.0; rows.columns()];
    for_each_part_of(rows, BLOCK, |first, part| {
        for (row, at) in part.chunks_exact(rows.columns()).zip(first..) {
            if !squared_norm(row).is_finite() {
                let what = "embedding";
                return Err(Error::NotFinite { what, row: at });
            }
            super::add(&mut sum, ArrayView1::from(row));
        }
        Ok(())
    })?;
    Ok(Array1::from(sum) / rows.count() as f64)
}

/// Columns of the covariance that a thread computes at once.
const COLUMNS: usize = 128;

/// Mean of the products of centred columns, `[columns, columns]`.
fn covariance(rows: &dyn Rows, mean: &Array1<f64>) -> Result<Array2<f64>> {
    let columns = rows.columns();
    let mut sum = Array2::<f64>::zeros((columns, columns));
    for_each_part_of(rows, BLOCK, |_, part| {
        let part = ArrayView2::from_shape((part.len() / columns, columns), part);
        let centred = part.expect("whole rows").mapv(f64::from) - mean;
        let of_blocks = centred.axis_chunks_iter(Axis(1), COLUMNS);
        let blocks: Vec<_> = sum
            .axis_chunks_iter_mut(Axis(0), COLUMNS)
            .zip(of_blocks)
            .collect();
        blocks.into_par_iter().for_each(|(block, of_block)| {
            add_product(of_block.t(), centred.view(), block);
        });
        Ok(())
    })?;
    Ok(sum / rows.count() as f64)
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    mean: Vec<f32>,
    /// Row by row.
    projection: Vec<f32>,
}

impl From<HalfWhitening> for Stored {
    fn from(HalfWhitening { mean, projection }: HalfWhitening) -> Self {
        Self {
            mean: mean.to_vec(),
            projection: projection.iter().copied().collect(),
        }
    }
}

impl TryFrom<Stored> for HalfWhitening {
    type Error = Error;

    fn try_from(Stored { mean, projection }: Stored) -> Result<Self> {
        let (values, columns) = (projection.len(), mean.len());
        let dimensions = values.checked_div(columns).unwrap_or(0);
        let rows = Array2::from_shape_vec((dimensions, columns), projection);
        let rows = rows.map_err(|_| Error::Shape {
            what: "half whitening",
            reason: format!("{values} values are no rows of {columns}"),
        })?;
        Self::new(mean.into(), rows)
    }
}
