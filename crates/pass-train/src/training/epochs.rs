//! What an epoch as a whole tells: whether the swapped loss has left ln K.

use super::{Position, Trainee, Training};
use crate::{Error, training_log::Values};

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
}

/// What is minimised, and the swapped loss.
pub(super) fn first_and_swapped(terms: &Values) -> Values {
    let (first, others) = terms.split_first().expect("a loss has a term");
    let swapped = others.iter().filter(|(name, _)| name == SWAPPED);
    [first].into_iter().chain(swapped).cloned().collect()
}
