//! The variants of D2S that the paper compares.

use pass_model::loss::d2s;
use serde::{Deserialize, Serialize};

/// Variants of D2S (Table VIII (c) and (d)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionSection {
    /// Whose assignments a shallow stage learns.
    pub teacher: d2s::Teacher,
    /// From which of the two crops.
    pub view: d2s::TaughtView,
}
