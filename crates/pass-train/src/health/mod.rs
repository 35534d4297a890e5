//! The health of a training: what it is watched for, and what a fault means.
//!
//! Every loss is looked at. The network is looked at every `health.every_iterations` and in the last
//! iteration; what is seen goes into `log.jsonl` under names that begin with `health/`.

mod fault;
mod heads;
mod memory;
mod spread;
mod vitals;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::run_file::{HealthSection, OnFault};

pub use fault::{Fault, OverChance};
pub use heads::Head;
pub(crate) use heads::HeadSpread;
pub(crate) use memory::{MEMORY, PEAK};
pub(crate) use vitals::{Assigning, Vitals};

/// Below this spread prototypes count as equal: random ones have about 1.
const EQUAL_PROTOTYPES: f64 = 1e-4;

/// Below this spread embeddings count as equal, and the encoder as collapsed.
const COLLAPSED: f64 = 1e-4;

/// A plateau at ln K: the loss above this share of it, ...
const PLATEAU_LOSS: f64 = 0.99;
/// ... and predictions that tell less than this about their picture, in nats.
const PLATEAU_INFORMATION: f64 = 0.05;

/// Nothing is learned: a mean loss of an epoch above this share of its value by chance, ...
const UNLEARNED: f64 = 0.97;
/// ... at the end of a training, or at half of it after so many iterations.
pub(crate) const TIME_TO_LEARN: usize = 500;

/// Looks in a row after which a state that may be passing counts as a fault.
const PATIENCE: u32 = 2;
/// The same for a plateau, which healthy trainings also pass through.
const PLATEAU_PATIENCE: u32 = 20;

/// What is remembered from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Looks in a row that saw no weight move.
    still: u32,
    /// Looks in a row that saw equal embeddings.
    collapsed: u32,
    /// Looks in a row that saw a head collapsed, by the name of the fault.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    heads: BTreeMap<String, u32>,
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

/// Which look at a training it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Others follow.
    Usual,
    /// The last one of several: what is seen cannot pass any more.
    Last,
    /// The last one and the first.
    Only,
}

impl Look {
    /// Looks in a row that make a fault of equal embeddings: at the end they stay what they are.
    fn patience_with_collapse(self) -> u32 {
        match self {
            Self::Usual => PATIENCE,
            Self::Last | Self::Only => 1,
        }
    }

    /// The same of weights that stand still, as they may at the end of a schedule.
    fn patience_with_stillness(self) -> u32 {
        match self {
            Self::Usual | Self::Last => PATIENCE,
            Self::Only => 1,
        }
    }
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

    /// The look at the network in an iteration, counted from 0, of a training of so many.
    pub(crate) fn look_at(&self, iteration: usize, iterations: usize) -> Option<Look> {
        let (every, number) = (self.section.every_iterations, iteration + 1);
        match number {
            _ if every == 0 => None,
            _ if number == iterations && number <= every => Some(Look::Only),
            _ if number == iterations => Some(Look::Last),
            _ => number.is_multiple_of(every).then_some(Look::Usual),
        }
    }

    /// A verdict on the loss terms of an iteration.
    pub(crate) fn judge_terms<N: AsRef<str>>(&mut self, terms: &[(N, f64)]) -> Option<Verdict> {
        let (name, value) = terms.iter().find(|(_, value)| !value.is_finite())?;
        self.verdict(Fault::NotFinite {
            what: name.as_ref().to_owned(),
            value: *value,
        })
    }

    /// A verdict on the mean loss of an epoch.
    pub(crate) fn judge_epoch(
        &mut self,
        loss: OverChance,
        [done, total]: [usize; 2],
    ) -> Option<Verdict> {
        let late = done == total || (2 * done >= total && done >= TIME_TO_LEARN);
        (late && loss.is_unlearned())
            .then(|| Fault::Unlearned {
                loss: loss.into(),
                done,
                total,
            })
            .and_then(|fault| self.verdict(fault))
    }

    /// A verdict on what a look saw in an iteration with this learning rate.
    pub(crate) fn judge(&mut self, seen: &Vitals, lr: f64, look: Look) -> Option<Verdict> {
        let head = self.collapsed_head(seen, look);
        let fault = self.fault(seen, lr, look).or(head)?;
        self.verdict(fault)
    }

    /// A head that has collapsed and was not told of.
    fn collapsed_head(&mut self, seen: &Vitals, look: Look) -> Option<Fault> {
        let mut found = None;
        for HeadSpread { head, spread } in &seen.heads {
            let looks = self.counters.heads.entry(head.fault()).or_default();
            count(looks, *spread < COLLAPSED);
            let new = !self.counters.told.contains(&head.fault());
            if *looks >= look.patience_with_collapse() && new {
                let fault = Fault::CollapsedHead {
                    head: head.clone(),
                    spread: *spread,
                };
                found = found.or(Some(fault));
            }
        }
        self.counters.heads.retain(|_, looks| *looks > 0);
        found
    }

    /// The fault that explains most of what was seen.
    fn fault(&mut self, seen: &Vitals, lr: f64, look: Look) -> Option<Fault> {
        let assigning = seen.assigning.as_ref();
        let collapsed = assigning.is_some_and(|a| a.feature_spread < COLLAPSED);
        let plateau = assigning.is_some_and(|a| {
            a.loss_over_ln_k > PLATEAU_LOSS && a.information() < PLATEAU_INFORMATION
        });
        let counters = &mut self.counters;
        count(&mut counters.still, seen.update_norm == 0.0);
        count(&mut counters.collapsed, collapsed);
        count(&mut counters.plateau, plateau);
        if let Some((what, value)) = seen.not_finite() {
            return Some(Fault::NotFinite {
                what: what.into(),
                value,
            });
        }
        if let Some(a) = assigning.filter(|a| a.prototype_spread < EQUAL_PROTOTYPES) {
            return Some(Fault::EqualPrototypes {
                spread: a.prototype_spread,
                loss_over_ln_k: a.loss_over_ln_k,
            });
        }
        if let Some(a) = assigning.filter(|_| counters.collapsed >= look.patience_with_collapse()) {
            return Some(Fault::Collapsed {
                spread: a.feature_spread,
                prototypes_used: a.prototypes_used,
            });
        }
        if counters.still >= look.patience_with_stillness() {
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
        let stops = !matches!(
            fault,
            Fault::Plateau { .. } | Fault::Unlearned { .. } | Fault::CollapsedHead { .. }
        );
        if self.section.on_fault == OnFault::Stop && stops {
            return Some(Verdict::Stop(fault));
        }
        let first = self.counters.told.insert(fault.name());
        first.then_some(Verdict::Warn(fault))
    }
}

fn count(counter: &mut u32, holds: bool) {
    *counter = if holds { counter.saturating_add(1) } else { 0 };
}

#[cfg(test)]
mod tests {
    use pass_model::method::Chance;

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
    fn the_network_is_looked_at_every_so_many_iterations_and_in_the_last() {
        let looks = |every_iterations| {
            let section = HealthSection {
                every_iterations,
                ..HealthSection::default()
            };
            let health = Health::new(&section, Counters::default());
            let look = |i| Some((i, health.look_at(i, 12)?));
            (0..12).filter_map(look).collect::<Vec<_>>()
        };
        assert_eq!(
            looks(5),
            [(4, Look::Usual), (9, Look::Usual), (11, Look::Last)]
        );
        assert_eq!(looks(12), [(11, Look::Only)]);
        assert_eq!(looks(50), [(11, Look::Only)]);
        assert!(looks(0).is_empty());
    }

    #[test]
    fn a_state_that_passes_is_no_fault() {
        let mut health = health(OnFault::Stop);
        for update_norm in [0.0, 0.1, 0.0, 0.1] {
            assert_eq!(
                health.judge(&vitals(sound(), update_norm), 0.5, Look::Usual),
                None
            );
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
        let told = (0..50).filter_map(|_| health.judge(&vitals(flat, 0.1), 0.5, Look::Usual));
        let told: Vec<_> = told.collect();
        assert!(
            matches!(told[..], [Verdict::Warn(Fault::Plateau { .. })]),
            "{told:?}"
        );
    }

    #[test]
    fn a_loss_that_does_not_leave_ln_k_is_told_once_at_half_of_a_long_training_or_at_the_end() {
        let told_of = |losses: [f64; 6], per_epoch: usize| {
            let mut health = health(OnFault::Stop);
            let epochs = losses.into_iter().zip(1..);
            let told = epochs.filter_map(|(loss, epoch)| {
                let loss = OverChance::new(Chance::of_swapped_prediction(10), loss);
                let verdict = health.judge_epoch(loss, [per_epoch * epoch, 6 * per_epoch])?;
                assert!(matches!(verdict, Verdict::Warn(Fault::Unlearned { .. })));
                Some(epoch)
            });
            told.collect::<Vec<_>>()
        };
        let stays = [1.02, 1.0, 0.99, 0.98, 0.976, 0.976];
        assert_eq!(told_of(stays, 270), [3]);
        assert_eq!(told_of(stays, 100), [5]);
        assert_eq!(told_of(stays, 1), [6]);
        assert!(told_of([1.02, 1.0, 0.96, 0.9, 0.85, 0.8], 270).is_empty());
        assert_eq!(told_of([1.0, 0.95, 0.9, 0.9, 0.97, 1.0], 270), [6]);
    }

    #[test]
    fn what_a_look_may_forgive_the_last_one_does_not() {
        let collapsed = Assigning {
            feature_spread: 0.0,
            ..sound()
        };
        let judged = |assigning, update_norm, look| {
            health(OnFault::Stop).judge(&vitals(assigning, update_norm), 0.5, look)
        };
        let stops = |verdict| matches!(verdict, Some(Verdict::Stop(_)));
        let looks = [Look::Usual, Look::Last, Look::Only];
        assert_eq!(
            looks.map(|look| stops(judged(collapsed, 0.1, look))),
            [false, true, true]
        );
        assert_eq!(
            looks.map(|look| stops(judged(sound(), 0.0, look))),
            [false, false, true]
        );
        assert!(stops(judged(sound(), f64::INFINITY, Look::Usual)));
    }

    #[test]
    fn a_head_that_collapses_alone_is_told_once_and_stops_nothing() {
        let mut health = health(OnFault::Stop);
        let seen = |spread| Vitals {
            heads: vec![HeadSpread {
                head: Head::new("p2p", "the projector of P2P (`pretrain.p2p_weight`)"),
                spread,
            }],
            ..vitals(sound(), 0.1)
        };
        let spreads = [0.0, 0.1, 0.0, 0.0, 0.0];
        let told = spreads.map(|spread| health.judge(&seen(spread), 0.5, Look::Usual));
        let [None, None, None, Some(Verdict::Warn(fault)), None] = told else {
            panic!("{told:?}");
        };
        assert!(fault.to_string().contains("p2p_weight"), "{fault}");
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
