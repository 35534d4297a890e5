//! The sections of a run file that decide how labels are made: `cluster`, `threshold`, `predict`,
//! `distance_matching`.

use pixel_attention::kmeans::device::DeviceOptions;
use serde::{Deserialize, Serialize};

/// Step 2.2: k-means of the attended embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// Restarts; the best run wins whole.
    pub restarts: usize,
    /// Lloyd iterations of each.
    pub iterations: usize,
    /// Where k-means runs.
    pub kmeans: KMeansPlace,
    /// The shorter side of a picture is brought to this, in pixels.
    pub resize: u32,
    /// Side of the centre crop, in pixels.
    pub crop: u32,
    /// Pictures per forward pass.
    pub batch: usize,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            restarts: 30,
            iterations: 20,
            kmeans: KMeansPlace::default(),
            resize: 256,
            crop: 224,
            batch: 256,
        }
    }
}

/// Where k-means runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KMeansPlace {
    /// On the processor: the same bits on every machine, whatever device trains.
    #[default]
    Host,
    /// On the device of the run; the same clusters up to rounding.
    Device(DeviceOptions),
}

/// Step 2.3: the attention threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdSection {
    /// The rule; left out, it is `validation` for data with validation masks and `otsu` without,
    /// and the resolved run file says which.
    pub rule: Option<ThresholdRule>,
}

/// How the attention threshold is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ThresholdRule {
    /// The best mIoU on the validation masks, as the reference: one scalar of supervision.
    Validation,
    /// Otsu's threshold of the attention of the training pictures; uses no mask.
    Otsu,
    /// The threshold which leaves this share of the cells of the training feature maps foreground; uses no mask.
    ForegroundShare(f64),
    /// This threshold.
    Fixed(f32),
}

/// Pictures as they are at inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictSection {
    /// The shorter side of a picture is brought to this, in pixels.
    pub resize: u32,
    /// Most pictures of one size that go through the network together.
    pub batch: usize,
    /// Logits of a picture above a megapixel are brought to this longer side before the arg-max
    /// and the labels from there to the picture; 0 for no cap.
    pub longer_side_cap: usize,
}

impl Default for PredictSection {
    fn default() -> Self {
        Self {
            resize: 256,
            batch: 8,
            longer_side_cap: 1000,
        }
    }
}

/// The k-NN protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistanceMatchingSection {
    /// Neighbours that vote.
    pub neighbours: usize,
    /// Temperature of the votes.
    pub temperature: f64,
}

impl Default for DistanceMatchingSection {
    fn default() -> Self {
        Self {
            neighbours: 10,
            temperature: 0.07,
        }
    }
}
