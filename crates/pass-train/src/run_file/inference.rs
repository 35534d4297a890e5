//! The sections of a run file that decide how labels are made: `cluster`, `threshold`, `predict`.

use html_report::palette::MOST_INDEXED;
use luss_metrics::ThresholdRule;
use pixel_attention::{
    cam::CamNormalization,
    kmeans::{Metric, device::DeviceOptions},
    refine::CrfConfig,
    row_file::Element,
};
use serde::{Deserialize, Serialize};

/// What is clustered, and how labels follow from the clusters (table X (a) of the paper).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelWay {
    /// Attended embeddings of pictures; every pixel takes the nearest centroid, and is OTHER where
    /// its attention is low. The method.
    #[default]
    PixelAttention,
    /// Plain embeddings of pictures; the picture takes one centroid, and is OTHER where the
    /// activation map of that is low.
    ImageLevel,
    /// The pixels of the feature maps; every pixel takes the nearest centroid, none is OTHER.
    PixelLevel,
    /// Objects that stand out on the map of the frozen backbone (the section `objects`), without any
    /// training; each takes the nearest centroid, and is there where its score is above 0.
    Objects,
}

/// Step 2.2: k-means of the attended embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// What is clustered, and how the labels of steps 2.3 and 2.4 follow.
    pub way: LabelWay,
    /// How the activation maps of `way = "image_level"` are scaled to 0..1.
    pub cam: CamNormalization,
    /// Restarts; the best run wins whole.
    pub restarts: usize,
    /// Lloyd iterations of each.
    pub iterations: usize,
    /// What centroids are: means, or means of length 1.
    pub metric: Metric,
    /// Principal directions that `way = "objects"` clusters in, each divided by the fourth root of its
    /// variance; of embeddings that have fewer, all.
    pub whitened_dims: usize,
    /// Where k-means runs.
    pub kmeans: KMeansPlace,
    /// The shorter side of a picture is brought to this, in pixels.
    pub resize: u32,
    /// Side of the centre crop, in pixels.
    pub crop: u32,
    /// Pictures per forward pass.
    pub batch: usize,
    /// How `embeddings.npy` stores its numbers: `float32`, or `float16` for half the disk.
    pub embeddings: Element,
    /// MiB of memory for the embeddings of a rank while they are clustered; they are read in parts where
    /// they need more. Decides no result.
    pub memory_mib: usize,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            way: LabelWay::PixelAttention,
            cam: CamNormalization::MinMax,
            restarts: 30,
            iterations: 20,
            metric: Metric::Euclidean,
            whitened_dims: 64,
            kmeans: KMeansPlace::default(),
            resize: 256,
            crop: 224,
            batch: 256,
            embeddings: Element::Float32,
            memory_mib: 8192,
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
    /// and the resolved run file says which. All but `validation` look at the cells of the training
    /// feature maps and use no mask.
    pub rule: Option<ThresholdRule>,
}

/// Which masks are the result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictor {
    /// Those of the network that step 3 fine-tunes on the pseudo labels.
    #[default]
    FineTuned,
    /// The pseudo labels themselves: nothing is fine-tuned, steps 3 and 4 are left out.
    Labels,
}

impl Predictor {
    /// The folder of the masks in the run directory, and their name in `metrics.json`.
    pub fn result(self) -> &'static str {
        match self {
            Self::FineTuned => "fine_tuned",
            Self::Labels => "pseudo_labels",
        }
    }
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
    /// How `labels/` stores the attention: `float32`, or `float16` for two thirds of the disk.
    pub attention: Element,
    /// How step 4 makes labels of logits.
    pub inference: Inference,
    /// With `cluster.way = "objects"`: a dense CRF by which the labels follow the edges of each picture,
    /// `{}` for the usual one; left out, none.
    pub refine: Option<CrfConfig>,
    /// How the masks of a run lie on the disk; left out, it is `indexed` for pictures of one's own and
    /// `imagenet_s` for the others and above 255 categories, and the resolved run file says which. It changes no
    /// result: masks that are there are read in either form.
    pub masks: Option<MaskForm>,
    /// Which masks are the result.
    pub predictor: Predictor,
}

/// How a mask lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskForm {
    /// Indexed PNG, which viewers show in colours; the index is the id.
    Indexed,
    /// RGB PNG with `id = R + 256 G`, which holds more ids than a palette.
    ImagenetS,
}

impl MaskForm {
    /// What viewers show, if it can hold so many categories.
    pub fn of(categories: u16) -> Self {
        match categories <= MOST_INDEXED {
            true => Self::Indexed,
            false => Self::ImagenetS,
        }
    }
}

/// How step 4 makes labels of logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Inference {
    /// The largest logit of every pixel, OTHER being one of them.
    #[default]
    ArgMax,
    /// One category for each connected part of the foreground, that of the largest mean logit. A pixel
    /// is foreground where OTHER has less than half of the probability.
    Components,
    /// The category of the largest mean logit, where its scaled map reaches `threshold`
    /// (equations 15 and 16 of the paper); OTHER elsewhere.
    Cam {
        /// How the map is scaled to 0..1.
        normalization: CamNormalization,
        /// Activation below this is OTHER, 0..=1.
        threshold: f32,
    },
}

impl Default for PredictSection {
    fn default() -> Self {
        Self {
            resize: 256,
            batch: 8,
            longer_side_cap: 1000,
            attention: Element::Float32,
            inference: Inference::ArgMax,
            refine: None,
            masks: None,
            predictor: Predictor::FineTuned,
        }
    }
}
