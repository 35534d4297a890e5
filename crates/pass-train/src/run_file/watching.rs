//! The sections of a run file that decide no weight: `checkpoints`, `health`, `probe`.
//!
//! A run may go on with other values of these, as with another number of threads.

use serde::{Deserialize, Serialize};

/// When the three trainings leave checkpoints, and how many of them stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointsSection {
    /// Epochs from one to the next; 0 for none at the end of an epoch.
    pub epochs: usize,
    /// Iterations from one to the next; 0 for none by iterations.
    pub iterations: usize,
    /// Minutes from one to the next; 0 for none by time.
    pub minutes: f64,
    /// Newest ones that are kept, at least 1.
    pub keep: usize,
    /// Whether the one at the end of the epoch with the lowest mean loss is kept as well.
    pub keep_best: bool,
}

impl Default for CheckpointsSection {
    fn default() -> Self {
        Self {
            epochs: 1,
            iterations: 0,
            minutes: 30.0,
            keep: 2,
            keep_best: true,
        }
    }
}

/// What a training does about a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// It ends with an error.
    #[default]
    Stop,
    /// It says so once and goes on.
    Warn,
}

/// How the trainings are watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSection {
    /// Iterations from one look at the network to the next; 0 to look at the loss alone.
    pub every_iterations: usize,
    /// What happens on a fault.
    pub on_fault: OnFault,
}

impl Default for HealthSection {
    fn default() -> Self {
        Self {
            every_iterations: 50,
            on_fault: OnFault::Stop,
        }
    }
}

/// The k-NN probe of step 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSection {
    /// Epochs from one probe to the next; 0 for none.
    pub every_epochs: usize,
    /// Labelled pictures that take part at most, spread evenly over the list.
    pub pictures: usize,
    /// Neighbours that vote.
    pub neighbours: usize,
}

impl Default for ProbeSection {
    fn default() -> Self {
        Self {
            every_epochs: 0,
            pictures: 1000,
            neighbours: 10,
        }
    }
}
