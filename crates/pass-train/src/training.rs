//! The loop that the three training steps share: epochs, batches, schedule, log, health, checkpoints.
//!
//! A step is a [`Task`]: it turns pictures into a loss. Everything random in it is keyed by (seed,
//! epoch, picture), and a checkpoint holds all the rest, so that a step which goes on after a kill at
//! any moment ends where the uninterrupted one does, to the bit.

mod judging;
mod task;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use burn::{module::Module, optim::GradientsParams};
use imagenet_s::{Loader, views::permutation};
use pass_model::{
    checkpoint::save_described,
    optim::{Rates, Schedule},
    precision::Precision,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    Context, Error, Step,
    checkpoints::{Checkpoints, Standing},
    gradients::{Accumulation, gradient_norm, update_and_weight_norm, without_frozen},
    health::{Fault, Health, Look, OverChance, Verdict, Vitals},
    loss_scale::LossScale,
    ranks::{
        check_same_weights, done_by_first, first_with, found_by_first, mean_gradients, mean_terms,
        own_pictures, share_of_batch,
    },
    training_log::TrainingLog,
    training_plan::Plan,
    training_state::{LoopState, Means},
    without_effect::tell_without_effect,
};

pub(crate) use crate::training_state::Learner;
pub(crate) use task::{Loss, Place, Position, Task, Terms, number, numbers};

/// Pictures that wait for the network, in batches.
const BATCHES_AHEAD: usize = 3;

/// Trains a task on the training pictures, from its newest sound checkpoint on. Where it says what its
/// loss is by chance, returns the mean of that term in the last epoch, over chance.
pub(crate) fn train<T: Task>(
    context: &Context,
    plan: &Plan,
    learner: &mut Learner<T>,
    make: impl Fn(Place) -> Result<T::Item, Error> + Clone + Send + Sync + 'static,
) -> Result<Option<OverChance>, Error> {
    let _heeding = context.stop.heed();
    let mut training = Training::open(context, plan, learner)?;
    while training.epoch() < plan.batches.epochs {
        training.rest_of_epoch(make.clone())?;
    }
    training.log.close();
    Ok(training.loss_over_chance)
}

/// Leaves the weights of a trained network behind, and the summary of the step.
///
/// Collective; rank 0 writes.
pub(crate) fn leave<M: Module>(
    context: &Context,
    net: &M,
    step: Step,
    summary: &impl Serialize,
) -> Result<(), Error> {
    check_same_weights(&context.ranks, net, step)?;
    done_by_first(&context.ranks, || {
        save_weights(context, net, step)?;
        finish_training(context, step, summary)
    })
}

fn save_weights<M: Module>(context: &Context, net: &M, step: Step) -> Result<(), Error> {
    let place = context.run.weights(step);
    context.run.make_room_for(&place)?;
    let saved = save_described(&net.valid(), &place, &description(context, step));
    saved.map_err(|cause| Error::NotKept {
        step: step.name(),
        cause: cause.into(),
    })
}

/// What weights are, for whoever finds the file alone: JSON.
fn description(context: &Context, step: Step) -> String {
    let words = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "step": step.name(),
        "backbone": context.file.network.backbone.describe(),
        "classes": context.data.classes(),
        "seed": context.file.seed,
    });
    words.to_string()
}

/// Marks a training step as finished, then removes its checkpoints: a kill in between costs room on
/// the disk and no work.
fn finish_training(context: &Context, step: Step, summary: &impl Serialize) -> Result<(), Error> {
    context.run.finish(step, summary)?;
    Checkpoints::new(context.run.step_dir(step), &context.file.checkpoints).forget_all()
}

/// One training step under way.
struct Training<'a, T: Task> {
    context: &'a Context,
    plan: &'a Plan<'a>,
    learner: &'a mut Learner<T>,
    /// Iterations of an epoch.
    per_epoch: usize,
    /// Pictures per iteration of this rank.
    share: usize,
    schedule: Schedule,
    checkpoints: Checkpoints,
    state: LoopState,
    health: Health,
    log: TrainingLog,
    last_checkpoint: Instant,
    /// Seconds for which the loaders of former epochs kept the training waiting.
    waited: f64,
    /// The loss over its value by chance, the mean of the last whole epoch.
    loss_over_chance: Option<OverChance>,
}

impl<'a, T: Task> Training<'a, T> {
    fn open(
        context: &'a Context,
        plan: &'a Plan<'a>,
        learner: &'a mut Learner<T>,
    ) -> Result<Self, Error> {
        let per_epoch = plan.iterations_per_epoch()?;
        let folder = context.run.step_dir(plan.step);
        let checkpoints = Checkpoints::new(folder, &context.file.checkpoints);
        let share = share_of_batch(
            &context.ranks,
            plan.step,
            [plan.batches.batch, plan.batches.accumulate],
        )?;
        let mut state = match newest_of_ranks(context, &checkpoints)? {
            Some(folder) => {
                learner.restore(&folder, &context.ranks)?;
                LoopState::restore(&folder)?
            }
            None => LoopState::default(),
        };
        let precision = context.file.precision;
        state.loss_scale = LossScale::of(precision, state.loss_scale);
        context.say(&plan.batch_words());
        tell_without_effect(context, plan, per_epoch);
        if precision != Precision::Float32 {
            let (step, precision) = (plan.step.name(), precision.name());
            context.say(&format!("{step}: convolutions in {precision}"));
        }
        if context.ranks.size() > 1 {
            let (ranks, step) = (context.ranks.size(), plan.step.name());
            context.say(&format!(
                "{step}: {ranks} ranks, {share} pictures a batch each"
            ));
        }
        let done_and_total = [state.iterations, per_epoch * plan.batches.epochs];
        Ok(Self {
            context,
            plan,
            learner,
            per_epoch,
            share,
            schedule: plan.schedule(per_epoch),
            checkpoints,
            health: Health::new(&context.file.health, state.health.clone()),
            log: TrainingLog::open(context, plan, done_and_total)?,
            state,
            last_checkpoint: Instant::now(),
            waited: 0.0,
            loss_over_chance: None,
        })
    }

    /// Whole epochs that are finished.
    fn epoch(&self) -> usize {
        self.state
            .iterations
            .checked_div(self.per_epoch)
            .unwrap_or(self.plan.batches.epochs)
    }

    /// Iterations of this epoch that are finished.
    fn within_epoch(&self) -> usize {
        self.state.iterations - self.epoch() * self.per_epoch
    }

    fn position(&self) -> Position {
        let iteration = self.state.iterations;
        Position {
            epoch: self.epoch(),
            iteration,
            iterations: self.per_epoch * self.plan.batches.epochs,
            lr: self.rates().lr,
        }
    }

    fn rates(&self) -> Rates {
        self.schedule.rates(self.state.iterations as u64)
    }

    /// The pictures of this epoch that are still to come to this rank, in order.
    fn places(&self) -> Vec<Place> {
        let batch = self.plan.batches.batch;
        let epoch = self.epoch() as u64;
        let order = permutation(self.plan.pictures, self.context.file.seed, epoch);
        let left = self.within_epoch() * batch..self.per_epoch * batch;
        let places = order[left].iter().map(|&index| Place { epoch, index });
        own_pictures(&self.context.ranks, places)
    }

    fn rest_of_epoch(
        &mut self,
        make: impl Fn(Place) -> Result<T::Item, Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        if self.within_epoch() == 0 {
            self.learner.task.before_epoch(self.position())?;
        }
        let batch = self.share;
        let workers = self.context.file.data.workers;
        let mut loader = Loader::new(
            self.places(),
            workers,
            BATCHES_AHEAD * batch,
            move |place: &Place| Ok(make(*place)),
        );
        for _ in self.within_epoch()..self.per_epoch {
            let items = loader
                .by_ref()
                .take(batch)
                .map(|item| item?)
                .collect::<Result<Vec<_>, Error>>()?;
            let at = self.position();
            let (terms, seen) = self.iteration(&items, at)?;
            let waited = self.waited + loader.stats().waited_seconds;
            self.record(at, &terms, seen, waited)?;
        }
        self.waited += loader.stats().waited_seconds;
        Ok(())
    }

    /// Losses, gradients and update of one batch; its loss terms and what was seen.
    fn iteration(&mut self, items: &[T::Item], at: Position) -> Result<(Terms, Terms), Error> {
        let look = self.health.look_at(at.iteration, at.iterations);
        let mut seen = look.map(|_| Vitals::default());
        self.learner.task.begin(at);
        let (terms, gradients) = self.differentiate(items, seen.as_mut());
        let ranks = &self.context.ranks;
        let terms = mean_terms(ranks, terms);
        let verdict = self.health.judge_terms(&terms);
        self.act(verdict, at)?;
        let frozen = self.learner.task.frozen(at);
        let gradients = without_frozen(self.learner.task.net(), gradients, &frozen);
        let gradients = mean_gradients(ranks, self.learner.task.net(), gradients);
        if self.overflows(&gradients, at)? {
            return Ok((terms, Terms::new()));
        }
        match seen.as_mut().zip(look) {
            Some(seen) => self.watched_update(gradients, seen, at)?,
            None => self.learner.update(self.rates(), gradients),
        }
        self.learner.task.after_update(at);
        let device = &self.context.device;
        let seen = seen.map(|seen| seen.named(device));
        let seen = seen.unwrap_or_default();
        Ok((terms, seen))
    }

    /// Losses and gradients of this rank's share of a batch, part by part.
    fn differentiate(
        &mut self,
        items: &[T::Item],
        mut seen: Option<&mut Vitals>,
    ) -> (Terms, GradientsParams) {
        let mut terms = Means::default();
        let mut gradients = Accumulation::new(self.plan.batches.accumulate);
        gradients.scale = self.state.loss_scale.as_ref().map(LossScale::factor);
        for (part, items) in items
            .chunks(items.len() / self.plan.batches.accumulate)
            .enumerate()
        {
            // The first part stands for the batch.
            let look = seen.as_deref_mut().filter(|_| part == 0);
            let loss = self.learner.task.loss(items, look);
            terms.add(&loss.terms);
            gradients.add(loss.minimised, self.learner.task.net());
        }
        (terms.take(), gradients.gradients(self.learner.task.net()))
    }

    /// Whether gradients left the range of float16, in which case there is no update. The same on all
    /// ranks, since these are the mean gradients.
    fn overflows(&mut self, gradients: &GradientsParams, at: Position) -> Result<bool, Error> {
        let Some(scale) = &mut self.state.loss_scale else {
            return Ok(false);
        };
        let finite = gradient_norm(self.learner.task.net(), gradients).is_finite();
        scale.follow(finite);
        let fault = scale.is_lost().then_some(Fault::LossScale {
            skipped: scale.skipped,
        });
        self.act(fault.map(Verdict::Stop), at)?;
        Ok(!finite)
    }

    fn watched_update(
        &mut self,
        gradients: GradientsParams,
        (seen, look): (&mut Vitals, Look),
        at: Position,
    ) -> Result<(), Error> {
        let before = self.learner.task.net().clone();
        seen.gradient_norm = gradient_norm(&before, &gradients);
        self.learner.update(self.rates(), gradients);
        [seen.update_norm, seen.weight_norm] =
            update_and_weight_norm(&before, self.learner.task.net());
        let verdict = self.health.judge(seen, at.lr, look);
        self.act(verdict, at)
    }

    /// Counts an iteration: log, checkpoint, and the request to stop.
    fn record(
        &mut self,
        at: Position,
        terms: &Terms,
        mut seen: Terms,
        waited: f64,
    ) -> Result<(), Error> {
        self.state.iterations += 1;
        self.state.since_line.add(terms);
        self.state.since_epoch.add(&judging::first_and_judged(
            terms,
            self.learner.task.chance(),
        ));
        self.log.advance(self.plan.batches.batch);
        let epoch_ends = self.within_epoch() == 0;
        if epoch_ends && self.context.ranks.is_first() {
            seen.extend(self.learner.task.after_epoch(self.epoch())?);
        }
        if self.log.is_due(self.state.iterations) || !seen.is_empty() {
            let means = self.state.since_line.take();
            let scale = self.state.loss_scale.as_ref();
            seen.extend(scale.map_or(Terms::new(), LossScale::named));
            self.log.line(at, means, seen, waited)?;
        }
        let means = epoch_ends.then(|| self.state.since_epoch.take());
        if let Some(means) = &means {
            self.judge_epoch(means, at)?;
        }
        self.keep(means.map(|means| means[0].1))
    }

    /// Leaves a checkpoint if one is due, or if someone asked for a stop.
    fn keep(&mut self, epoch_loss: Option<f64>) -> Result<(), Error> {
        let ranks = &self.context.ranks;
        let asked = first_with(ranks, self.context.stop.is_asked()).is_some();
        let due = first_with(ranks, self.is_checkpoint_due()).is_some();
        let finished = self.state.iterations == self.per_epoch * self.plan.batches.epochs;
        if finished || !(asked || due) {
            return Ok(()); // a finished step leaves its weights, and the pipeline stops behind it
        }
        self.log.sync()?;
        self.state.health = self.health.counters.clone();
        let standing = Standing {
            iterations: self.state.iterations,
            epochs: self.epoch(),
            epoch_loss,
        };
        check_same_weights(ranks, self.learner.task.net(), self.plan.step)?;
        let memory = self.learner.memory(ranks);
        let place = found_by_first(ranks, || {
            self.checkpoints.save(&standing, |folder| {
                self.learner.save(folder, &memory)?;
                self.state.save(folder)
            })
        })?;
        self.last_checkpoint = Instant::now();
        if !asked {
            return Ok(());
        }
        let iterations = self.state.iterations;
        Err(Error::Stopped {
            step: self.plan.step.name(),
            done: format!(
                "after {iterations} iterations, with the checkpoint {}",
                place.display()
            ),
        })
    }

    fn is_checkpoint_due(&self) -> bool {
        let section = &self.context.file.checkpoints;
        let every =
            |iterations: usize| iterations > 0 && self.state.iterations.is_multiple_of(iterations);
        let interval = Duration::from_secs_f64(60.0 * section.minutes);
        every(section.epochs * self.per_epoch)
            || every(section.iterations)
            || (!interval.is_zero() && self.last_checkpoint.elapsed() >= interval)
    }
}

/// The newest sound checkpoint, which rank 0 looks for.
fn newest_of_ranks(context: &Context, checkpoints: &Checkpoints) -> Result<Option<PathBuf>, Error> {
    found_by_first(&context.ranks, || {
        checkpoints.newest_sound(|line| context.warn(line))
    })
}

#[cfg(test)]
mod tests;
