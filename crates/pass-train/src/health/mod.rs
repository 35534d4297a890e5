//! The health of a training: what it is watched for, and what a fault means.
//!
//! Every loss is looked at. The network is looked at every `health.every_iterations`; what is seen
//! goes into `log.jsonl` under names that begin with `health/`.

mod memory;
mod vitals;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::run_file::{HealthSection, OnFault};

pub(crate) use memory::MEMORY;
pub(crate) use vitals::{Assigning, Swapped, Vitals};

/// Below this spread prototypes count as equal: random ones have about 1.
const EQUAL_PROTOTYPES: f64 = 1e-4;

/// Below this spread embeddings count as equal, and the encoder as collapsed.
const COLLAPSED: f64 = 1e-4;

/// A plateau at ln K: the loss above this share of it, ...
const PLATEAU_LOSS: f64 = 0.99;
/// ... and predictions that tell less than this about their picture, in nats.
const PLATEAU_INFORMATION: f64 = 0.05;

/// Looks in a row after which a state that may be passing counts as a fault.
const PATIENCE: u32 = 2;
/// The same for a plateau, which healthy trainings also pass through.
const PLATEAU_PATIENCE: u32 = 20;

/// What has gone wrong in a training, what was seen, and what usually helps.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A loss or a gradient is not a finite number.
    NotFinite {
        /// The loss term, or `gradient_norm`.
        what: String,
        /// Its value.
        value: f64,
    },
    /// No trained weight changes any more.
    NothingMoves {
        /// Norm of the gradient.
        gradient_norm: f64,
        /// Learning rate.
        lr: f64,
    },
    /// All prototypes are the same vector.
    EqualPrototypes {
        /// Their variance over all dimensions together; 1 is the most.
        spread: f64,
        /// Swapped prediction over ln K.
        loss_over_ln_k: f64,
    },
    /// All pictures have the same embedding.
    Collapsed {
        /// The variance of the embeddings over all dimensions together; 1 is the most.
        spread: f64,
        /// Prototypes that are the most likely one of some picture.
        prototypes_used: usize,
    },
    /// In float16 no scale keeps the gradients within its range.
    LossScale {
        /// Updates left out so far.
        skipped: u64,
    },
    /// The loss stays at ln K. Trainings may still leave it, so this never stops one.
    Plateau {
        /// Swapped prediction over ln K.
        loss_over_ln_k: f64,
        /// What a prediction tells about its picture, in nats.
        information: f64,
    },
}

impl Fault {
    /// A short name, under which a fault is told once.
    fn name(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "not_finite",
            Self::NothingMoves { .. } => "nothing_moves",
            Self::EqualPrototypes { .. } => "equal_prototypes",
            Self::Collapsed { .. } => "collapsed",
            Self::LossScale { .. } => "loss_scale",
            Self::Plateau { .. } => "plateau",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NotFinite { what, value } => write!(
                f,
                "training has diverged: `{what}` is {value}; lower the learning rate \
                 (`optim.base_lr` of this step in the run file) or raise the batch, keep \
                 `swapped.epsilon` at 0.025 or above, and delete the checkpoints that may hold \
                 the fault already"
            ),
            Self::NothingMoves { gradient_norm, lr } => write!(
                f,
                "no weight moves: the last updates were exactly 0, with a learning rate of {lr} \
                 and a gradient of norm {gradient_norm:.3e}; {}",
                if *gradient_norm == 0.0 {
                    "nothing in the loss depends on a weight that is trained: look at the weights \
                     of the loss terms and at what is frozen"
                } else {
                    "raise `optim.base_lr` (and `optim.final_lr`) of this step"
                }
            ),
            Self::EqualPrototypes {
                spread,
                loss_over_ln_k,
            } => write!(
                f,
                "all prototypes are the same vector (spread {spread:.1e} of 1, loss \
                 {loss_over_ln_k:.3} of ln K), and their gradients too, so they will not part \
                 again: begin the step anew with a higher `freeze_prototypes_iterations` or a \
                 lower `optim.base_lr`, and check the weights it starts from"
            ),
            Self::Collapsed {
                spread,
                prototypes_used,
            } => write!(
                f,
                "the encoder has collapsed: all pictures have the same embedding (spread \
                 {spread:.1e} of 1, {prototypes_used} prototypes in use); go back to an earlier \
                 checkpoint with a lower `optim.base_lr`, or begin anew with a lower \
                 `swapped.epsilon`, a higher `freeze_prototypes_iterations`, a later \
                 `swapped.queue_from_epoch` or a larger batch"
            ),
            Self::LossScale { skipped } => write!(
                f,
                "gradients are beyond float16 even where the loss is not scaled up any more \
                 ({skipped} updates left out so far): the training has diverged, or needs the range \
                 of float32; lower `optim.base_lr` of this step, or set `precision` to \"bfloat16\" or \
                 \"float32\" and go on from the last checkpoint"
            ),
            Self::Plateau {
                loss_over_ln_k,
                information,
            } => write!(
                f,
                "the loss stays at ln K ({loss_over_ln_k:.3} of it; a prediction tells \
                 {information:.3} nats about its picture); if it does not leave in another epoch, \
                 raise `freeze_prototypes_iterations`, have fewer prototypes than pictures in \
                 batch and queue, start the queue later, or lower `swapped.epsilon`"
            ),
        }
    }
}

/// What is remembered from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Looks in a row that saw no weight move.
    still: u32,
    /// Looks in a row that saw equal embeddings.
    collapsed: u32,
    /// Looks in a row on the plateau.
    plateau: u32,
    /// Faults that were told.
    told: BTreeSet<String>,
}

/// What is to be done about a fault.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The training ends.
    Stop(Fault),
    /// The fault is told.
    Warn(Fault),
}

/// Watches a training.
#[derive(Debug)]
pub(crate) struct Health {
    section: HealthSection,
    pub(crate) counters: Counters,
}

impl Health {
    /// Goes on watching with these counters.
    pub(crate) fn new(section: &HealthSection, counters: Counters) -> Self {
        Self {
            section: section.clone(),
            counters,
        }
    }

    /// Whether the network is looked at in this iteration, counted from 0.
    pub(crate) fn looks_at(&self, iteration: usize) -> bool {
        let every = self.section.every_iterations;
        every > 0 && (iteration + 1).is_multiple_of(every)
    }

    /// A verdict on the loss terms of an iteration.
    pub(crate) fn judge_terms<N: AsRef<str>>(&mut self, terms: &[(N, f64)]) -> Option<Verdict> {
        let (name, value) = terms.iter().find(|(_, value)| !value.is_finite())?;
        self.verdict(Fault::NotFinite {
            what: name.as_ref().to_owned(),
            value: *value,
        })
    }

    /// A verdict on what was seen in an iteration with this learning rate.
    pub(crate) fn judge(&mut self, seen: &Vitals, lr: f64) -> Option<Verdict> {
        let fault = self.fault(seen, lr)?;
        self.verdict(fault)
    }

    /// The fault that explains most of what was seen.
    fn fault(&mut self, seen: &Vitals, lr: f64) -> Option<Fault> {
        let assigning = seen.assigning.as_ref();
        let collapsed = assigning.is_some_and(|a| a.feature_spread < COLLAPSED);
        let plateau = assigning.is_some_and(|a| {
            a.loss_over_ln_k > PLATEAU_LOSS && a.information() < PLATEAU_INFORMATION
        });
        let counters = &mut self.counters;
        count(&mut counters.still, seen.update_norm == 0.0);
        count(&mut counters.collapsed, collapsed);
        count(&mut counters.plateau, plateau);
        if !seen.gradient_norm.is_finite() {
            return Some(Fault::NotFinite {
                what: "gradient_norm".into(),
                value: seen.gradient_norm,
            });
        }
        if let Some(a) = assigning.filter(|a| a.prototype_spread < EQUAL_PROTOTYPES) {
            return Some(Fault::EqualPrototypes {
                spread: a.prototype_spread,
                loss_over_ln_k: a.loss_over_ln_k,
            });
        }
        if let Some(a) = assigning.filter(|_| counters.collapsed >= PATIENCE) {
            return Some(Fault::Collapsed {
                spread: a.feature_spread,
                prototypes_used: a.prototypes_used,
            });
        }
        if counters.still >= PATIENCE {
            return Some(Fault::NothingMoves {
                gradient_norm: seen.gradient_norm,
                lr,
            });
        }
        let a = assigning.filter(|_| counters.plateau >= PLATEAU_PATIENCE)?;
        Some(Fault::Plateau {
            loss_over_ln_k: a.loss_over_ln_k,
            information: a.information(),
        })
    }

    fn verdict(&mut self, fault: Fault) -> Option<Verdict> {
        let passing = matches!(fault, Fault::Plateau { .. });
        if self.section.on_fault == OnFault::Stop && !passing {
            return Some(Verdict::Stop(fault));
        }
        let first = self.counters.told.insert(fault.name().into());
        first.then_some(Verdict::Warn(fault))
    }
}

fn count(counter: &mut u32, holds: bool) {
    *counter = if holds { counter.saturating_add(1) } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(on_fault: OnFault) -> Health {
        let section = HealthSection {
            every_iterations: 5,
            on_fault,
        };
        Health::new(&section, Counters::default())
    }

    fn sound() -> Assigning {
        Assigning {
            prototypes: 10,
            prototypes_used: 7,
            perplexity: 9.0,
            prediction_entropy: 1.5,
            assignment_entropy: 1.2,
            loss_over_ln_k: 0.8,
            prototype_spread: 0.9,
            feature_spread: 0.6,
            feature_variance_min: 0.1,
            feature_dimensions: 5.0,
        }
    }

    fn vitals(assigning: Assigning, update_norm: f64) -> Vitals {
        Vitals {
            assigning: Some(assigning),
            gradient_norm: 1.0,
            update_norm,
            ..Vitals::default()
        }
    }

    #[test]
    fn the_network_is_looked_at_every_so_many_iterations() {
        let looks = |every_iterations| {
            let section = HealthSection {
                every_iterations,
                ..HealthSection::default()
            };
            let health = Health::new(&section, Counters::default());
            (0..12).filter(|&i| health.looks_at(i)).collect::<Vec<_>>()
        };
        assert_eq!(looks(5), [4, 9]);
        assert!(looks(0).is_empty());
    }

    #[test]
    fn a_state_that_passes_is_no_fault() {
        let mut health = health(OnFault::Stop);
        for update_norm in [0.0, 0.1, 0.0, 0.1] {
            assert_eq!(health.judge(&vitals(sound(), update_norm), 0.5), None);
        }
    }

    #[test]
    fn a_plateau_is_told_once_and_never_stops_a_training() {
        let flat = Assigning {
            loss_over_ln_k: 0.999,
            perplexity: 10.0,
            prediction_entropy: 2.29,
            ..sound()
        };
        let mut health = health(OnFault::Stop);
        let told = (0..50).filter_map(|_| health.judge(&vitals(flat, 0.1), 0.5));
        let told: Vec<_> = told.collect();
        assert!(
            matches!(told[..], [Verdict::Warn(Fault::Plateau { .. })]),
            "{told:?}"
        );
    }

    #[test]
    fn as_a_warning_a_fault_is_told_once() {
        let mut health = health(OnFault::Warn);
        let terms = [("total", f64::NAN)];
        let first = health.judge_terms(&terms);
        assert!(matches!(
            first,
            Some(Verdict::Warn(Fault::NotFinite { .. }))
        ));
        assert_eq!(health.judge_terms(&terms), None);
    }
}
