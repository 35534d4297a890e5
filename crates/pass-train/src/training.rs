//! The loop that the three training steps share: epochs, batches, schedule, log, health, checkpoints.
//!
//! A step is a [`Trainee`]: it turns pictures into a loss. Everything random in it is keyed by (seed,
//! epoch, picture), and a checkpoint holds all the rest, so that a step which goes on after a kill at
//! any moment ends where the uninterrupted one does, to the bit.

mod judging;
mod trainee;

use std::{
    borrow::Cow,
    path::PathBuf,
    time::{Duration, Instant},
};

use burn::{module::Module, optim::GradientsParams};
use imagenet_s::{Loader, views::permutation};
use pass_model::{checkpoint::save_module, optim::CosineSchedule, precision::Precision};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    checkpoints::{Checkpoints, Standing},
    gradients::{Accumulation, gradient_norm, update_and_weight_norm},
    health::{Fault, Health, Look, Verdict, Vitals},
    loss_scale::LossScale,
    ranks::{
        check_same_weights, done_by_first, first_with, found_by_first, is_first, mean_gradients,
        mean_terms, own_pictures, share_of_batch,
    },
    training_log::{TrainingLog, Values},
    training_plan::Plan,
    training_state::{LoopState, Means},
    without_effect::tell_without_effect,
};

pub(crate) use trainee::{Loss, Place, Position, Terms, Trainee};

/// Pictures that wait for the network, in batches.
const BATCHES_AHEAD: usize = 3;

/// Trains `trainee` on the training pictures, from its newest sound checkpoint on. Where it minimises
/// a swapped prediction, returns its mean in the last epoch, over ln K.
pub(crate) fn train<T: Trainee>(
    context: &Context,
    plan: &Plan,
    trainee: &mut T,
    make: impl Fn(Place) -> Result<T::Item, Error> + Clone + Send + Sync + 'static,
) -> Result<Option<f64>, Error> {
    let _heeding = context.stop.heed();
    let mut training = Training::open(context, plan, trainee)?;
    while training.epoch() < plan.epochs {
        training.rest_of_epoch(make.clone())?;
    }
    training.log.close();
    Ok(training.swapped_over_ln_k)
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
    check_same_weights(&*context.ranks, net, step)?;
    done_by_first(&*context.ranks, || {
        save_weights(context, net, step)?;
        finish_training(context, step, summary)
    })
}

fn save_weights<M: Module>(context: &Context, net: &M, step: Step) -> Result<(), Error> {
    let place = context.run.weights(step);
    context.run.make_room_for(&place)?;
    save_module(&net.valid(), &place).map_err(|cause| Error::NotKept {
        step: step.name(),
        cause: cause.into(),
    })
}

/// Marks a training step as finished, then removes its checkpoints: a kill in between costs room on
/// the disk and no work.
fn finish_training(context: &Context, step: Step, summary: &impl Serialize) -> Result<(), Error> {
    context.run.finish(step, summary)?;
    Checkpoints::new(context.run.step_dir(step), &context.file.checkpoints).forget_all()
}

/// One training step under way.
struct Training<'a, T: Trainee> {
    context: &'a Context,
    plan: &'a Plan<'a>,
    trainee: &'a mut T,
    /// Iterations of an epoch.
    per_epoch: usize,
    /// Pictures per iteration of this rank.
    share: usize,
    schedule: CosineSchedule,
    checkpoints: Checkpoints,
    state: LoopState,
    health: Health,
    log: TrainingLog,
    last_checkpoint: Instant,
    /// Seconds for which the loaders of former epochs kept the training waiting.
    waited: f64,
    /// Swapped prediction over ln K, the mean of the last whole epoch.
    swapped_over_ln_k: Option<f64>,
}

impl<'a, T: Trainee> Training<'a, T> {
    fn open(context: &'a Context, plan: &'a Plan<'a>, trainee: &'a mut T) -> Result<Self, Error> {
        let per_epoch = plan.iterations_per_epoch()?;
        let folder = context.run.step_dir(plan.step);
        let checkpoints = Checkpoints::new(folder, &context.file.checkpoints);
        let share = share_of_batch(&*context.ranks, plan.step, [plan.batch, plan.accumulate])?;
        let mut state = match newest_of_ranks(context, &checkpoints)? {
            Some(folder) => {
                trainee.restore(&folder)?;
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
        let done_and_total = [state.iterations, per_epoch * plan.epochs];
        Ok(Self {
            context,
            plan,
            trainee,
            per_epoch,
            share,
            schedule: plan.schedule(per_epoch),
            checkpoints,
            health: Health::new(&context.file.health, state.health.clone()),
            log: TrainingLog::open(context, plan, done_and_total)?,
            state,
            last_checkpoint: Instant::now(),
            waited: 0.0,
            swapped_over_ln_k: None,
        })
    }

    /// Whole epochs that are finished.
    fn epoch(&self) -> usize {
        self.state
            .iterations
            .checked_div(self.per_epoch)
            .unwrap_or(self.plan.epochs)
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
            iterations: self.per_epoch * self.plan.epochs,
            lr: self.schedule.rate(iteration as u64),
        }
    }

    /// The pictures of this epoch that are still to come to this rank, in order.
    fn places(&self) -> Vec<Place> {
        let batch = self.plan.batch;
        let epoch = self.epoch() as u64;
        let order = permutation(self.plan.pictures, self.context.file.seed, epoch);
        let left = self.within_epoch() * batch..self.per_epoch * batch;
        let places = order[left].iter().map(|&index| Place { epoch, index });
        own_pictures(&*self.context.ranks, places)
    }

    fn rest_of_epoch(
        &mut self,
        make: impl Fn(Place) -> Result<T::Item, Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
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
    fn iteration(&mut self, items: &[T::Item], at: Position) -> Result<(Values, Values), Error> {
        let look = self.health.look_at(at.iteration, at.iterations);
        let mut seen = look.map(|_| Vitals::default());
        self.trainee.begin(at);
        let (terms, mut gradients) = self.differentiate(items, seen.as_mut());
        let ranks = &*self.context.ranks;
        let terms = mean_terms(ranks, terms);
        let verdict = self.health.judge_terms(&terms);
        self.act(verdict, at)?;
        self.trainee.restrain(&mut gradients, at);
        let gradients = mean_gradients(ranks, self.trainee.net(), gradients);
        if self.overflows(&gradients, at)? {
            return Ok((terms, Values::new()));
        }
        match seen.as_mut().zip(look) {
            Some(seen) => self.watched_update(gradients, seen, at)?,
            None => self.trainee.update(at.lr, gradients),
        }
        let device = &self.context.device;
        let seen = seen.map(|seen| owned(seen.named(device)));
        let seen = seen.unwrap_or_default();
        Ok((terms, seen))
    }

    /// Losses and gradients of this rank's share of a batch, part by part.
    fn differentiate(
        &mut self,
        items: &[T::Item],
        mut seen: Option<&mut Vitals>,
    ) -> (Values, GradientsParams) {
        let mut terms = Means::default();
        let mut gradients = Accumulation::new(self.plan.accumulate);
        gradients.scale = self.state.loss_scale.as_ref().map(LossScale::factor);
        for (part, items) in items.chunks(items.len() / self.plan.accumulate).enumerate() {
            // The first part stands for the batch.
            let look = seen.as_deref_mut().filter(|_| part == 0);
            let loss = self.trainee.loss(items, look);
            terms.add(&owned(loss.terms));
            gradients.add(loss.minimised, self.trainee.net());
        }
        (terms.take(), gradients.gradients(self.trainee.net()))
    }

    /// Whether gradients left the range of float16, in which case there is no update. The same on all
    /// ranks, since these are the mean gradients.
    fn overflows(&mut self, gradients: &GradientsParams, at: Position) -> Result<bool, Error> {
        let Some(scale) = &mut self.state.loss_scale else {
            return Ok(false);
        };
        let finite = gradient_norm(self.trainee.net(), gradients).is_finite();
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
        let before = self.trainee.net().clone();
        seen.gradient_norm = gradient_norm(&before, &gradients);
        self.trainee.update(at.lr, gradients);
        [seen.update_norm, seen.weight_norm] = update_and_weight_norm(&before, self.trainee.net());
        let verdict = self.health.judge(seen, at.lr, look);
        self.act(verdict, at)
    }

    /// Counts an iteration: log, checkpoint, and the request to stop.
    fn record(
        &mut self,
        at: Position,
        terms: &Values,
        mut seen: Values,
        waited: f64,
    ) -> Result<(), Error> {
        self.state.iterations += 1;
        self.state.since_line.add(terms);
        self.state
            .since_epoch
            .add(&judging::first_and_swapped(terms));
        self.log.advance(self.plan.batch);
        let epoch_ends = self.within_epoch() == 0;
        if epoch_ends && is_first(&*self.context.ranks) {
            seen.extend(owned(self.trainee.after_epoch(self.epoch())?));
        }
        if self.log.is_due(self.state.iterations) || !seen.is_empty() {
            let means = self.state.since_line.take();
            let scale = self.state.loss_scale.as_ref();
            seen.extend(owned(scale.map_or(Terms::new(), LossScale::named)));
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
        let ranks = &*self.context.ranks;
        let asked = first_with(ranks, self.context.stop.is_asked()).is_some();
        let due = first_with(ranks, self.is_checkpoint_due()).is_some();
        let finished = self.state.iterations == self.per_epoch * self.plan.epochs;
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
        check_same_weights(ranks, self.trainee.net(), self.plan.step)?;
        if !is_first(ranks) {
            self.trainee.contribute();
        }
        let place = found_by_first(ranks, || {
            let place = self.checkpoints.save(&standing, |folder| {
                self.trainee.save(folder)?;
                self.state.save(folder)
            })?;
            Ok(place.display().to_string())
        })?;
        self.last_checkpoint = Instant::now();
        if !asked {
            return Ok(());
        }
        let iterations = self.state.iterations;
        Err(Error::Stopped {
            step: self.plan.step.name(),
            done: format!("after {iterations} iterations, with the checkpoint {place}"),
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
    let found = found_by_first(&*context.ranks, || {
        let newest = checkpoints.newest_sound(|line| context.warn(line))?;
        Ok(newest.map_or(String::new(), |folder| folder.display().to_string()))
    })?;
    Ok((!found.is_empty()).then(|| PathBuf::from(found)))
}

fn owned(terms: Terms) -> Values {
    terms
        .into_iter()
        .map(|(name, value)| (Cow::from(name), value))
        .collect()
}

#[cfg(test)]
mod tests;
