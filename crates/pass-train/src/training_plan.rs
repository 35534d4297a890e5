//! What a training step does with its epochs: batches, rates, optimiser.

use pass_model::optim::{Decline, Schedule};

use crate::{
    Error, RunFile, Step,
    run_file::{BatchRule, PUBLISHED_BATCH},
    step::Batches,
};

/// What a training step does with its epochs.
pub(crate) struct Plan<'a> {
    /// The step.
    pub(crate) step: Step,
    /// Pictures to learn from.
    pub(crate) pictures: usize,
    /// How it goes through them.
    pub(crate) batches: Batches<'a>,
    /// Length of the queue, where the step has one.
    pub(crate) queue: Option<usize>,
}

impl<'a> Plan<'a> {
    /// What a run file says of a step that trains.
    pub(crate) fn new(
        step: Step,
        file: &'a RunFile,
        pictures: usize,
        queue: Option<usize>,
    ) -> Self {
        Self {
            step,
            pictures,
            batches: step.batches(file).expect("a training"),
            queue,
        }
    }
}

impl Plan<'_> {
    /// Whole batches in an epoch; a rest is left out.
    pub(crate) fn iterations_per_epoch(&self) -> Result<usize, Error> {
        let iterations = self.pictures / self.batches.batch;
        if iterations > 0 || self.batches.epochs == 0 {
            return Ok(iterations);
        }
        Err(Error::TooFewPictures {
            step: self.step.name(),
            pictures: self.pictures,
            what: "a batch of",
            needed: self.batches.batch,
            remedy: "add pictures or lower this step's `batch` in the run file".into(),
        })
    }

    /// Learning rate and weight decay of each iteration.
    pub(crate) fn schedule(&self, per_epoch: usize) -> Schedule {
        let iterations = [per_epoch, self.batches.epochs].map(|count| count as u64);
        Schedule::new(self.batches.optim, self.factor(), iterations)
    }

    /// What learning rates are multiplied with.
    fn factor(&self) -> f64 {
        self.batches.batch_rule.factor(self.batches.batch)
    }

    /// The settings that depend on the batch, as they are used.
    pub(crate) fn batch_words(&self) -> String {
        let Batches {
            batch, accumulate, ..
        } = &self.batches;
        let optim = self.batches.optim;
        let [base, last] = [optim.base_lr, optim.final_lr].map(|lr| lr * self.factor());
        let mut words = format!("{}: batch {batch}", self.step.name());
        if *accumulate > 1 {
            words += &format!(" in {accumulate} parts of {}", batch / accumulate);
        }
        words += &match optim.decline {
            Decline::Cosine | Decline::CosineOfEpochs => {
                format!(", learning rate {base} to {last}")
            }
            Decline::Steps => format!(
                ", learning rate {base}, times {} in epochs {:?}",
                optim.step_factor, optim.step_epochs
            ),
        };
        if let Some(queue) = self.queue {
            words += &format!(", queue {queue}");
        }
        words
            + &match self.batches.batch_rule {
                BatchRule::Off => " (as given)".to_owned(),
                BatchRule::Linear => format!(" ({batch}/{PUBLISHED_BATCH} of what is given)"),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(batch: usize, batch_rule: BatchRule, accumulate: usize) -> (String, f64) {
        let mut file = RunFile::default();
        let section = &mut file.pretrain;
        (section.batch, section.batch_rule, section.accumulate) = (batch, batch_rule, accumulate);
        section.epochs = 2;
        let queue = batch_rule.queue_length(2048, batch);
        let plan = Plan::new(Step::Pretrain, &file, 1000, Some(queue));
        (plan.batch_words(), plan.schedule(10).rates(0).lr)
    }

    #[test]
    fn by_default_rates_and_queue_are_the_published_ones() {
        let expected = "pretrain: batch 256, learning rate 0.6 to 0.0006, queue 2048 (as given)";
        assert_eq!(words(256, BatchRule::Off, 1), (expected.into(), 0.6));
        assert_eq!(words(256, BatchRule::Linear, 1).1, 0.6);
        assert_eq!(words(64, BatchRule::Off, 1).1, 0.6);
    }

    #[test]
    fn by_the_linear_rule_they_are_in_proportion_to_the_batch() {
        let (words, rate) = words(64, BatchRule::Linear, 4);
        let expected = "pretrain: batch 64 in 4 parts of 16, learning rate 0.15 to 0.00015, \
                        queue 512 (64/256 of what is given)";
        assert_eq!((words.as_str(), rate), (expected, 0.15));
    }
}
