//! What a fault leads to, and what an epoch as a whole tells: whether the loss is still what it is by
//! chance.

use pass_model::method::Chance;

use super::{Position, Task, Training};
use crate::{
    Error,
    health::{OverChance, Verdict},
    ranks::first_with,
    training::Terms,
};

impl<T: Task> Training<'_, T> {
    /// Looks at the mean loss of an epoch.
    pub(super) fn judge_epoch(&mut self, means: &Terms, at: Position) -> Result<(), Error> {
        let Some(chance) = self.learner.task.chance() else {
            return Ok(());
        };
        let Some((_, loss)) = means.iter().find(|(name, _)| name == chance.term) else {
            return Ok(());
        };
        let loss = OverChance::new(chance, loss / chance.value);
        self.loss_over_chance = Some(loss.clone());
        let done = [self.state.iterations, at.iterations];
        let verdict = self.health.judge_epoch(loss, done);
        self.act(verdict, at)
    }

    /// Collective: a fault that one rank sees stops all, and the lowest of those that see it tells.
    pub(super) fn act(&self, verdict: Option<Verdict>, at: Position) -> Result<(), Error> {
        let step = self.plan.step.name();
        let iteration = at.iteration;
        let ranks = &self.context.ranks;
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

/// What is minimised, and the term that is compared with chance.
pub(super) fn first_and_judged(terms: &Terms, chance: Option<Chance>) -> Terms {
    let (first, others) = terms.split_first().expect("a loss has a term");
    let judged = others
        .iter()
        .filter(|(name, _)| chance.is_some_and(|chance| name == chance.term));
    [first].into_iter().chain(judged).cloned().collect()
}
