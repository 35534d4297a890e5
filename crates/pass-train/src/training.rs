//! The loop that the three training steps share: epochs, batches, schedule, log, checkpoints.
//!
//! A step is a [`Trainee`]: it turns a batch into loss terms and one update. Everything random in
//! it is keyed by (seed, epoch, picture), and a checkpoint holds all the rest, so that a step which
//! goes on after a kill ends where the uninterrupted one does.

use std::{path::Path, time::Instant};

use burn::{module::Module, optim::ModuleOptimizer};
use imagenet_s::{Loader, views::permutation};
use pass_model::{
    checkpoint::save_module,
    optim::{CosineSchedule, LarsConfig, LarsExclusion, SgdConfig},
};
use serde::Serialize;

use crate::{
    Context, Error, Progress, Step,
    checkpoints::Checkpoints,
    log::{LogRecord, LogWriter},
    run_file::{Algorithm, OptimSection},
};

/// Lines of the log that one step may leave behind; beyond it, a line is a mean of iterations.
const LOG_LINES: usize = 2000;

/// Pictures that wait for the network, in batches.
const BATCHES_AHEAD: usize = 3;

/// Share of the time that a training may wait for pictures before it says so.
const MUCH_WAITING: f64 = 0.1;

/// What a training step does with its epochs.
pub(crate) struct Plan<'a> {
    /// The step.
    pub(crate) step: Step,
    /// Pictures to learn from.
    pub(crate) pictures: usize,
    /// Passes over them.
    pub(crate) epochs: usize,
    /// Pictures per iteration.
    pub(crate) batch: usize,
    /// Optimiser and schedule.
    pub(crate) optim: &'a OptimSection,
    /// Epochs between checkpoints.
    pub(crate) checkpoint_epochs: usize,
}

/// A picture's place in the training: what its random streams are keyed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Epoch, from 0.
    pub(crate) epoch: u64,
    /// Index among the training samples.
    pub(crate) index: usize,
}

/// Where the training stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Epoch, from 0.
    pub(crate) epoch: usize,
    /// Iteration over all epochs, from 0.
    pub(crate) iteration: usize,
    /// Learning rate of this iteration.
    pub(crate) lr: f64,
}

/// Named loss terms of an iteration; the first is the one that is minimised.
pub(crate) type Terms = Vec<(&'static str, f64)>;

/// A network in training.
pub(crate) trait Trainee {
    /// What the loader makes of a picture.
    type Item: Send + 'static;

    /// One update.
    fn step(&mut self, items: Vec<Self::Item>, at: Position) -> Terms;

    /// Writes all that the next iterations depend on into the folder.
    fn save(&self, dir: &Path) -> Result<(), Error>;

    /// Takes up what [`Trainee::save`] wrote.
    fn restore(&mut self, dir: &Path) -> Result<(), Error>;
}

/// The optimiser that a run file asks for.
pub(crate) fn optimizer(section: &OptimSection) -> ModuleOptimizer {
    let OptimSection {
        weight_decay,
        momentum,
        ..
    } = *section;
    let lars = LarsConfig {
        weight_decay,
        momentum,
        ..LarsConfig::default()
    };
    match section.algorithm {
        Algorithm::Lars => lars.init(),
        Algorithm::LarsExcludingNorms => LarsConfig {
            exclude: LarsExclusion::BiasAndNorm,
            ..lars
        }
        .init(),
        Algorithm::LarsPixpro => LarsConfig {
            weight_decay,
            momentum,
            ..LarsConfig::pixpro()
        }
        .init(),
        Algorithm::Sgd => SgdConfig {
            weight_decay,
            momentum,
        }
        .init(),
    }
}

/// Trains `trainee` on the training pictures, from its newest checkpoint on.
pub(crate) fn train<T: Trainee>(
    context: &Context,
    plan: &Plan,
    trainee: &mut T,
    make: impl Fn(Place) -> Result<T::Item, Error> + Clone + Send + Sync + 'static,
) -> Result<(), Error> {
    let iterations = iterations_per_epoch(plan)?;
    let checkpoints = Checkpoints::new(context.run.step_dir(plan.step));
    let first_epoch = match checkpoints.newest() {
        Some((epoch, folder)) => {
            trainee.restore(&folder)?;
            epoch
        }
        None => 0,
    };
    let mut session = Session::open(context, plan, iterations, first_epoch)?;
    for epoch in first_epoch..plan.epochs {
        let order = permutation(plan.pictures, context.file.seed, epoch as u64);
        let places = order[..iterations * plan.batch]
            .iter()
            .map(|&index| Place {
                epoch: epoch as u64,
                index,
            })
            .collect();
        let make = make.clone();
        let ahead = BATCHES_AHEAD * plan.batch;
        let mut loader = Loader::new(
            places,
            context.file.data.workers,
            ahead,
            move |place: &Place| Ok(make(*place)),
        );
        for _ in 0..iterations {
            let items = loader
                .by_ref()
                .take(plan.batch)
                .map(|item| item?)
                .collect::<Result<Vec<_>, Error>>()?;
            let at = session.position(epoch);
            let terms = trainee.step(items, at);
            session.record(at, &terms, loader.stats().waited_seconds)?;
        }
        session.waited_before += loader.stats().waited_seconds;
        if (epoch + 1) % plan.checkpoint_epochs == 0 && epoch + 1 < plan.epochs {
            checkpoints.save(epoch + 1, |folder| trainee.save(folder))?;
        }
    }
    session.close();
    Ok(())
}

/// Leaves the weights of a trained network behind.
pub(crate) fn save_weights<M: Module>(context: &Context, net: &M, step: Step) -> Result<(), Error> {
    let place = context.run.weights(step);
    context.run.make_room_for(&place)?;
    Ok(save_module(&net.valid(), &place)?)
}

/// Marks a training step as finished, then removes its checkpoints: a kill in between costs room on
/// the disk and no work.
pub(crate) fn finish_training(
    context: &Context,
    step: Step,
    summary: &impl Serialize,
) -> Result<(), Error> {
    context.run.finish(step, summary)?;
    Checkpoints::new(context.run.step_dir(step)).forget_all()
}

fn iterations_per_epoch(plan: &Plan) -> Result<usize, Error> {
    let iterations = plan.pictures / plan.batch;
    if iterations > 0 || plan.epochs == 0 {
        return Ok(iterations);
    }
    Err(Error::TooFewPictures {
        step: plan.step.name(),
        pictures: plan.pictures,
        what: "a batch of",
        needed: plan.batch,
        remedy: "add pictures or lower this step's `batch` in the run file",
    })
}

/// Schedule, log and bar of one training step.
struct Session {
    step: Step,
    schedule: CosineSchedule,
    log: LogWriter,
    progress: Progress,
    batch: usize,
    /// Iterations that one line of the log averages over.
    stride: usize,
    iteration: usize,
    pending: Vec<Terms>,
    started: Instant,
    /// Seconds that the loaders of former epochs kept the training waiting.
    waited_before: f64,
    /// Seconds since the start, and of them waited for pictures, at the last line of the log.
    last_line: [f64; 2],
}

impl Session {
    fn open(
        context: &Context,
        plan: &Plan,
        iterations: usize,
        first_epoch: usize,
    ) -> Result<Self, Error> {
        let total = iterations * plan.epochs;
        let done = iterations * first_epoch;
        let step = plan.step;
        Ok(Self {
            step,
            schedule: CosineSchedule::new(plan.optim.base_lr, plan.optim.final_lr, total as u64)
                .with_warmup(
                    plan.optim.warmup_lr,
                    (plan.optim.warmup_epochs * iterations) as u64,
                ),
            log: LogWriter::open(&context.run.file("log.jsonl"))?,
            progress: Progress::resumed(
                context.verbosity,
                step.name(),
                (done * plan.batch) as u64,
                (total * plan.batch) as u64,
                "pictures",
            ),
            batch: plan.batch,
            stride: total.div_ceil(LOG_LINES).max(1),
            iteration: done,
            pending: Vec::new(),
            started: Instant::now(),
            waited_before: 0.0,
            last_line: [0.0; 2],
        })
    }

    fn position(&self, epoch: usize) -> Position {
        Position {
            epoch,
            iteration: self.iteration,
            lr: self.schedule.rate(self.iteration as u64),
        }
    }

    /// Counts an iteration; `waited` are the seconds for which this epoch's loader was waited for.
    fn record(&mut self, at: Position, terms: &Terms, waited: f64) -> Result<(), Error> {
        if let Some(&(term, value)) = terms.iter().find(|(_, value)| !value.is_finite()) {
            let step = self.step.name();
            return Err(Error::NotFinite {
                step,
                iteration: at.iteration,
                term,
                value,
            });
        }
        self.iteration += 1;
        self.progress.advance(self.batch as u64);
        self.pending.push(terms.clone());
        if self.iteration.is_multiple_of(self.stride) {
            let means = means(&std::mem::take(&mut self.pending));
            let waiting = self.share_of_waiting(self.waited_before + waited);
            self.progress.message(message(&means, waiting));
            self.log.append(&LogRecord {
                step: self.step.name().into(),
                epoch: at.epoch as u64,
                iteration: at.iteration as u64,
                seconds: self.started.elapsed().as_secs_f64(),
                values: means
                    .into_iter()
                    .chain([("lr", at.lr), ("waiting", waiting)])
                    .map(|(name, value)| (name.to_string(), value))
                    .collect(),
            })?;
        }
        Ok(())
    }

    /// The share of the time since the last line for which pictures were waited for.
    fn share_of_waiting(&mut self, waited: f64) -> f64 {
        let now = [self.started.elapsed().as_secs_f64(), waited];
        let [seconds, waited] = [now[0] - self.last_line[0], now[1] - self.last_line[1]];
        self.last_line = now;
        waited / seconds.max(f64::MIN_POSITIVE)
    }

    fn close(self) {
        self.progress.finish();
    }
}

/// Mean of each term over some iterations.
fn means(iterations: &[Terms]) -> Terms {
    let count = iterations.len() as f64;
    let names = iterations[0].iter().map(|(name, _)| *name).enumerate();
    names
        .map(|(i, name)| {
            (
                name,
                iterations.iter().map(|terms| terms[i].1).sum::<f64>() / count,
            )
        })
        .collect()
}

/// The terms, and how much of the time the training waited if that is worth telling.
fn message(terms: &Terms, waiting: f64) -> String {
    let mut parts: Vec<String> = terms
        .iter()
        .map(|(name, value)| format!("{name} {value:.3}"))
        .collect();
    if waiting > MUCH_WAITING {
        let percent = 100.0 * waiting;
        parts.push(format!(
            "{percent:.0} % waiting for pictures: raise data.workers"
        ));
    }
    parts.join("  ")
}
