//! What step 1 trains: the method, and the variants of its parts that the paper compares.

use pass_model::loss::d2s;
use serde::{Deserialize, Serialize};

/// The method of step 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// On SwAV: swapped prediction, P2P, D2S.
    #[default]
    PassS,
    /// On PixPro: its consistency of pixels with a momentum encoder, and all of `pass_s`.
    PassP,
}

/// Variants of D2S (Table VIII (c) and (d)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionSection {
    /// Whose assignments a shallow stage learns.
    pub teacher: d2s::Teacher,
    /// From which of the two crops.
    pub view: d2s::TaughtView,
}
