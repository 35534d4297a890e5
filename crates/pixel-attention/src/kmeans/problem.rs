//! What is clustered and how: the part of k-means that does not depend on where it is computed.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{
    KMeansConfig, Metric, Run, Update,
    deal::Deal,
    init::initial_centroids,
    run::{Lloyd, Partition},
};
use crate::{
    error::{Error, Result},
    products::{squared_norm, squared_norm_f64},
    rows::{PART_UNIT, Rows, for_each_part},
};

/// Where points are compared with centroids and added up: the host or a device.
pub(super) trait Engine {
    /// Gives every point the nearest of `centroids`, of equal ones the first, and brings the sums
    /// of the clusters up to date. Returns how many points changed their cluster.
    fn assign(
        &self,
        problem: &Problem,
        centroids: ArrayView2<f32>,
        partition: &mut Partition,
    ) -> Result<usize>;
}

/// Points and settings, checked.
pub(super) struct Problem<'a> {
    /// The points of this rank; all of them where it is the only one.
    pub(super) rows: &'a dyn Rows,
    pub(super) deal: Deal<'a>,
    pub(super) config: &'a KMeansConfig,
    pub(super) weights: Option<&'a [f32]>,
    /// Sum of the squared lengths of the points of all ranks, times their weights.
    pub(super) squared_norms: f64,
    pub(super) watch: &'a dyn Fn(&Update),
}

impl<'a> Problem<'a> {
    /// Looks at every row of this rank once.
    pub(super) fn new(
        deal: Deal<'a>,
        config: &'a KMeansConfig,
        weights: Option<&'a [f32]>,
    ) -> Result<Self> {
        config.check(deal.count())?;
        let own = checked_norms("point", deal.own, weights).map_err(|error| match error {
            Error::NotFinite { what, row } => {
                let row = deal.first() + row;
                Error::NotFinite { what, row }
            }
            other => other,
        })?;
        let squared_norms = deal.ranks.one_of_each(own).iter().sum();
        let watch = &|_: &Update| ();
        Ok(Self {
            rows: deal.own,
            deal,
            config,
            weights,
            squared_norms,
            watch,
        })
    }

    pub(super) fn metric(&self) -> Metric {
        self.config.metric
    }

    /// One restart, from centroids of its own.
    pub(super) fn restart(&self, engine: &dyn Engine, restart: usize) -> Result<Run> {
        let initial = initial_centroids(&self.deal, self.config, restart)?;
        Lloyd::start(self, engine, initial, restart)?.run()
    }

    /// One run from given centroids.
    pub(super) fn run_from(&self, engine: &dyn Engine, initial: ArrayView2<f32>) -> Result<Run> {
        check_centroids(initial, self.rows.columns())?;
        let (given, set) = (initial.nrows(), self.config.clusters);
        if given != set {
            let reason = format!("{given} rows given, {set} clusters set");
            let what = "initial centroids";
            return Err(Error::Shape { what, reason });
        }
        let initial = initial.as_standard_layout().into_owned();
        Lloyd::start(self, engine, initial, 0)?.run()
    }

    /// All restarts; the one with the lowest inertia, of equal ones the earliest.
    pub(super) fn best(&self, engine: &dyn Engine, mut report: impl FnMut(&Run)) -> Result<Run> {
        let mut best: Option<Run> = None;
        for restart in 0..self.config.restarts {
            let run = self.restart(engine, restart)?;
            report(&run);
            if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
                best = Some(run);
            }
        }
        Ok(best.expect("at least one restart ran"))
    }
}

pub(super) fn check_centroids(centroids: ArrayView2<f32>, columns: usize) -> Result<()> {
    if centroids.nrows() == 0 || centroids.ncols() != columns {
        let reason = format!(
            "{} x {} centroids for points of {columns} columns; expected at least one row and as \
             many columns as the points have",
            centroids.nrows(),
            centroids.ncols()
        );
        return Err(Error::Shape {
            what: "centroids",
            reason,
        });
    }
    checked_norms("centroid", &centroids.as_standard_layout().view(), None).map(|_| ())
}

/// The sum of the squared lengths of all rows, times their weights, in `f64`. It is made of sums
/// of fixed parts, so it does not depend on the number of threads.
///
/// Names the first row that is not finite. A row's squared length is finite in `f32` exactly when
/// the products of the assignment are.
pub(super) fn checked_norms(
    what: &'static str,
    rows: &dyn Rows,
    weights: Option<&[f32]>,
) -> Result<f64> {
    let dim = rows.columns();
    if dim == 0 {
        let reason = "rows have no columns".into();
        return Err(Error::Shape { what, reason });
    }
    let mut total = 0.0;
    for_each_part(rows, |first, part| {
        let bad = part
            .par_chunks(dim)
            .position_first(|row| !squared_norm(row).is_finite());
        if let Some(row) = bad.map(|row| first + row) {
            return Err(Error::NotFinite { what, row });
        }
        let norm = |point: usize, row: &[f32]| {
            squared_norm_f64(row) * weights.map_or(1.0, |all| f64::from(all[point]))
        };
        let unit = |(index, rows): (usize, &[f32])| -> f64 {
            let points = first + index * PART_UNIT..;
            points
                .zip(rows.chunks(dim))
                .map(|(point, row)| norm(point, row))
                .sum()
        };
        let sums: Vec<f64> = part
            .par_chunks(PART_UNIT * dim)
            .enumerate()
            .map(unit)
            .collect();
        // One after the other, whatever the parts.
        sums.iter().for_each(|sum| total += sum);
        Ok(())
    })?;
    Ok(total)
}
