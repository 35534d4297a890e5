//! What a fault leads to, and what an epoch as a whole tells: whether the swapped loss has left ln K.

use super::{Position, Trainee, Training};
use crate::{Error, health::Verdict, ranks::first_with, training_log::Values};

/// The term of the loss that swapped prediction is.
const SWAPPED: &str = "swapped";

impl<T: Trainee> Training<'_, T> {
    /// Looks at the mean swapped loss of an epoch.
    pub(super) fn judge_epoch(&mut self, means: &Values, at: Position) -> Result<(), Error> {
        let swapped = means.iter().find(|(name, _)| name == SWAPPED);
        let Some(((_, swapped), prototypes)) = swapped.zip(self.trainee.prototypes()) else {
            return Ok(());
        };
        let share = swapped / (prototypes as f64).ln();
        self.swapped_over_ln_k = Some(share);
        let done = [self.state.iterations, at.iterations];
        let verdict = self.health.judge_epoch(share, done);
        self.act(verdict, at)
    }

    /// Collective: a fault that one rank sees stops all, and the lowest of those that see it tells.
    pub(super) fn act(&self, verdict: Option<Verdict>, at: Position) -> Result<(), Error> {
        let step = self.plan.step.name();
        let iteration = at.iteration;
        let ranks = &*self.context.ranks;
        let stopping = first_with(ranks, matches!(verdict, Some(Verdict::Stop(_))));
        let warning = first_with(ranks, matches!(verdict, Some(Verdict::Warn(_))));
        match verdict {
            _ if stopping.is_some_and(|rank| rank != ranks.rank()) => Err(Error::AnotherRank),
            None => Ok(()),
            Some(Verdict::Warn(fault)) => {
                if warning == Some(ranks.rank()) {
                    let line = format!("warning: {step}, iteration {iteration}: {fault}");
                    self.context.warn(&line);
                }
                Ok(())
            }
            Some(Verdict::Stop(fault)) => Err(Error::Unhealthy {
                step,
                iteration,
                fault,
            }),
        }
    }
}

/// What is minimised, and the swapped loss.
pub(super) fn first_and_swapped(terms: &Values) -> Values {
    let (first, others) = terms.split_first().expect("a loss has a term");
    let swapped = others.iter().filter(|(name, _)| name == SWAPPED);
    [first].into_iter().chain(swapped).cloned().collect()
}
