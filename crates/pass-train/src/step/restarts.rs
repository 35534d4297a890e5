//! The restarts of k-means, each on the disk as soon as it has finished.
//!
//! A process that was killed is followed by one that runs the restarts which are missing; since
//! every restart has a random stream of its own, the best of all is the same.

use std::{cell::RefCell, fs::File, path::PathBuf};

use ndarray::Array1;
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use pixel_attention::{
    cluster_report::RestartEntry,
    kmeans::{KMeansConfig, Run, Update, device::Plan},
    rows::Rows,
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Progress, RunDir,
    ranks::{done_by_first, found_by_first},
};

/// Runs the restarts that no earlier process has finished. On a device returns how it worked, unless
/// there was nothing left to run.
///
/// Collective: `own` are the rows of this rank; rank 0 keeps what has finished.
pub(super) fn run_restarts(
    context: &Context,
    own: &dyn Rows,
    config: &KMeansConfig,
) -> Result<Option<Plan>, Error> {
    match missing(context, config.restarts)?.as_slice() {
        [] => Ok(None),
        missing => run_missing(context, own, config, missing),
    }
}

/// The restarts that have not finished, as rank 0 sees it.
fn missing(context: &Context, restarts: usize) -> Result<Vec<usize>, Error> {
    found_by_first(&context.ranks, || {
        let finished = Finished::of(&context.run);
        let missing = (0..restarts).filter(|&restart| !finished.has(restart));
        Ok(missing.collect())
    })
}

/// The best of all restarts, which have finished: the one of lowest inertia, of equal ones the
/// earliest.
pub(super) fn best_restart(context: &Context, restarts: usize) -> Result<Run, Error> {
    Finished::of(&context.run).best(restarts)
}

/// Every finished restart beside the best one. One of them is in memory at a time.
pub(super) fn compared_with(
    context: &Context,
    best: &Run,
    restarts: usize,
) -> Result<Vec<RestartEntry>, Error> {
    let finished = Finished::of(&context.run);
    let compared = |restart| {
        let run = finished.read(restart)?;
        Ok(RestartEntry::new(&run, &best.assignments))
    };
    (0..restarts).map(compared).collect()
}

fn run_missing(
    context: &Context,
    own: &dyn Rows,
    config: &KMeansConfig,
    missing: &[usize],
) -> Result<Option<Plan>, Error> {
    let iterations = config.iterations as u64;
    let done = (config.restarts - missing.len()) as u64 * iterations;
    let all = config.restarts as u64 * iterations;
    let progress = Progress::resumed(context.verbosity, "k-means", done, all, "iterations");
    let progress = RefCell::new(progress);
    let watch = |update: &Update| {
        let mut progress = progress.borrow_mut();
        progress.message(format!(
            "restart {}, inertia {:.6}, {} moved",
            update.restart, update.inertia, update.moved
        ));
        progress.advance(u64::from(update.iteration > 0));
    };
    let kmeans = context.kmeans(own, config)?.watched_by(&watch);
    for &restart in missing {
        let run = kmeans.restart(restart)?;
        // It may have come to rest before its last iteration.
        let spared = iterations - run.iterations as u64;
        progress.borrow_mut().advance(spared);
        done_by_first(&context.ranks, || Finished::of(&context.run).store(&run))?;
    }
    let plan = kmeans.device_plan();
    drop(kmeans);
    progress.into_inner().finish();
    Ok(plan)
}

/// `cluster/restarts/`: for each finished restart its centroids and assignments, and, written
/// last, the numbers that say that they are there.
pub(super) struct Finished<'a> {
    run: &'a RunDir,
}

#[derive(Serialize, Deserialize)]
struct Numbers {
    inertia: f64,
    iterations: usize,
    history: Vec<f64>,
}

impl<'a> Finished<'a> {
    pub(super) fn of(run: &'a RunDir) -> Self {
        Self { run }
    }

    fn file(&self, restart: usize, name: &str) -> PathBuf {
        self.run.restarts().join(format!("{restart:05}-{name}"))
    }

    fn numbers(&self, restart: usize) -> PathBuf {
        self.file(restart, "numbers.json")
    }

    fn has(&self, restart: usize) -> bool {
        self.numbers(restart).exists()
    }

    fn store(&self, run: &Run) -> Result<(), Error> {
        let centroids = self.file(run.restart, "centroids.npy");
        write_npy(&centroids, &run.centroids)?;
        let assignments = self.file(run.restart, "assignments.npy");
        write_npy(&assignments, &Array1::from(run.assignments.clone()))?;
        let numbers = Numbers {
            inertia: run.inertia,
            iterations: run.iterations,
            history: run.history.clone(),
        };
        self.run.write_json(&self.numbers(run.restart), &numbers)
    }

    fn best(&self, restarts: usize) -> Result<Run, Error> {
        let mut best: Option<(usize, f64)> = None;
        for restart in 0..restarts {
            let numbers: Numbers = self.run.read_json(&self.numbers(restart))?;
            if best.is_none_or(|(_, least)| numbers.inertia < least) {
                best = Some((restart, numbers.inertia));
            }
        }
        self.read(best.expect("at least one restart ran").0)
    }

    fn read(&self, restart: usize) -> Result<Run, Error> {
        let numbers: Numbers = self.run.read_json(&self.numbers(restart))?;
        let assignments: Array1<u32> = read_npy(&self.file(restart, "assignments.npy"))?;
        Ok(Run {
            centroids: read_npy(&self.file(restart, "centroids.npy"))?,
            assignments: assignments.to_vec(),
            inertia: numbers.inertia,
            iterations: numbers.iterations,
            restart,
            history: numbers.history,
        })
    }
}

fn write_npy(path: &std::path::Path, array: &impl WriteNpyExt) -> Result<(), Error> {
    let written = whole_file::write(path, |file| {
        array.write_npy(file).map_err(std::io::Error::other)
    });
    written.map_err(Error::io(path, "write"))
}

fn read_npy<T: ReadNpyExt>(path: &std::path::Path) -> Result<T, Error> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    T::read_npy(file).map_err(|cause| Error::Damaged {
        path: path.into(),
        cause: cause.to_string(),
    })
}
