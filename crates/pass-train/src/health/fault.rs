//! What may go wrong in a training, in words.

use std::fmt;

use pass_model::method::Chance;
use serde::{Deserialize, Serialize};

use super::{Head, UNLEARNED};

/// What has gone wrong in a training, what was seen, and what usually helps.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A loss or a gradient is not a finite number.
    NotFinite {
        /// The loss term, or the norm.
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
    /// A head embeds all pictures alike, while the image's does not. This never stops a training.
    CollapsedHead {
        /// The head.
        head: Head,
        /// The variance of its outputs over all dimensions together.
        spread: f64,
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
    /// The loss has been what it is by chance for long. It never stops a training either.
    Unlearned {
        /// Its mean in an epoch, over chance.
        loss: Box<OverChance>,
        /// Finished iterations.
        done: usize,
        /// Iterations of the training.
        total: usize,
    },
}

impl Fault {
    /// A short name, under which a fault is told once.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::NotFinite { .. } => "not_finite",
            Self::NothingMoves { .. } => "nothing_moves",
            Self::EqualPrototypes { .. } => "equal_prototypes",
            Self::Collapsed { .. } => "collapsed",
            Self::CollapsedHead { head, .. } => return head.fault(),
            Self::LossScale { .. } => "loss_scale",
            Self::Plateau { .. } | Self::Unlearned { .. } => "plateau",
        };
        name.to_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NotFinite { what, value } => write!(
                f,
                "training has diverged: `{what}` is {value}; lower the learning rate \
                 (`optim.base_lr` of this step in the run file) or raise the batch, keep \
                 `swapped.epsilon` at 0.025 or above, and move away the checkpoints that may hold \
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
            Self::CollapsedHead { head, spread } => write!(
                f,
                "{head} gives all pictures the same output (spread {spread:.1e} of 1): its term \
                 teaches nothing any more; lower its weight or `optim.base_lr`, or leave it out"
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
            Self::Unlearned { loss, done, total } => {
                write!(f, "after {done} of {total} iterations {loss}")
            }
        }
    }
}

/// A term of a loss over its value when nothing is learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverChance {
    /// The term.
    pub term: String,
    /// That value, in a word.
    pub chance: String,
    /// That value; of runs of former versions nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The quotient of the two: 1 when nothing is learned.
    pub ratio: f64,
    /// What has helped.
    pub remedy: String,
}

impl OverChance {
    pub(crate) fn new(chance: Chance, ratio: f64) -> Self {
        Self {
            term: chance.term.into(),
            chance: chance.called.into(),
            value: Some(chance.value),
            ratio,
            remedy: chance.remedy.into(),
        }
    }

    /// Where the training has ended, beside where it would be without learning anything.
    pub(crate) fn end_words(&self) -> String {
        let Self {
            term,
            chance,
            ratio,
            ..
        } = self;
        match self.value {
            Some(value) => format!(
                "the {term} loss ended at {:.2} where {chance}, its value when nothing is learned, is \
                 {value:.2}",
                ratio * value
            ),
            None => format!(
                "the {term} loss ended at {ratio:.3} of {chance}, its value when nothing is learned"
            ),
        }
    }

    /// Whether the term is not clearly below chance.
    pub(crate) fn is_unlearned(&self) -> bool {
        self.ratio > UNLEARNED
    }
}

/// What it means that nothing is learned, and what helps.
impl fmt::Display for OverChance {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            term,
            chance,
            ratio,
            remedy,
            ..
        } = self;
        write!(
            f,
            "the {term} loss is not clearly below {chance} ({ratio:.3} of it in the mean of an \
             epoch): little or nothing has been learned, and what is built on it will be no better; \
             what has helped: {remedy}"
        )
    }
}
