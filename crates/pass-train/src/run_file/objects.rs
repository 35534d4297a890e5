//! The section `objects` of a run file: what is found on the frozen backbone.

use pixel_attention::foreground::Foreground;
use serde::{Deserialize, Serialize};

/// Step 2.1 of `cluster.way = "objects"`: how objects are found on the map of the frozen backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectsSection {
    /// What sets an object apart from its background.
    pub foreground: Foreground,
    /// The side of the square that a picture is brought to, whatever its aspect, in pixels.
    pub size: u32,
    /// The layer of the backbone whose features embed an object, as `luss features extract --layer` names
    /// it.
    pub layer: String,
    /// The layer on which objects are found, where it is another; both have as many cells.
    pub foreground_layer: Option<String>,
    /// Pictures per forward pass. Decides no result.
    pub batch: usize,
}

impl ObjectsSection {
    /// The layer on which objects are found.
    pub(crate) fn found_on(&self) -> &str {
        self.foreground_layer.as_ref().unwrap_or(&self.layer)
    }
}

impl Default for ObjectsSection {
    fn default() -> Self {
        Self {
            foreground: Foreground::default(),
            size: 320,
            layer: "stage4".into(),
            foreground_layer: None,
            batch: 16,
        }
    }
}
