//! The run file: everything that decides the result of a run, in one TOML document.
//!
//! The defaults are the published ones of ImageNet-S50 with ResNet-18 (`../shared/spec`, section
//! 5.12, restated in `docs/PIPELINE.md`); a file states what it changes. An unknown key, a wrong
//! type or an impossible value is refused before anything starts.

use std::path::{Path, PathBuf};

use imagenet_s::{
    OddPictures,
    synthetic::SyntheticConfig,
    views::{CropGroup, MultiCropConfig},
};
use pass_model::backbone::ResNetConfig;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Everything that decides the result of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunFile {
    /// Keys every random stream of the run.
    pub seed: u64,
    /// The pictures.
    pub data: DataSection,
    /// Backbone, heads and prototypes.
    pub network: NetworkSection,
    /// Step 1: representation learning.
    pub pretrain: PretrainSection,
    /// Step 2.1: pixel attention.
    pub attention: AttentionSection,
    /// Step 2.2: k-means of the attended embeddings.
    pub cluster: ClusterSection,
    /// Step 2.3: the attention threshold.
    pub threshold: ThresholdSection,
    /// Step 3: fine-tuning on the pseudo labels.
    pub finetune: FinetuneSection,
    /// Steps 2.3, 2.4 and 4 and distance matching: pictures as they are at inference.
    pub predict: PredictSection,
    /// The k-NN protocol.
    pub distance_matching: DistanceMatchingSection,
}

/// Where the pictures come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The embedded dataset, written into the run directory.
    Synthetic(SyntheticConfig),
    /// A tree in the ImageNet-S layout.
    Layout {
        /// Its root.
        path: PathBuf,
    },
    /// Any folder of pictures without labels.
    Pictures {
        /// The folder.
        path: PathBuf,
        /// Categories to discover.
        classes: u16,
    },
}

/// The pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Where they come from.
    pub source: Source,
    /// CMYK JPEGs and files whose content is not what their name says.
    pub odd_pictures: OddPictures,
    /// Threads that decode and crop.
    pub workers: usize,
    /// Other pictures for step 1 alone, as the paper pre-trains on all of ImageNet-1k for 919
    /// classes; left out, step 1 learns from the training pictures.
    pub pretrain_pictures: Option<PathBuf>,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            source: Source::Synthetic(SyntheticConfig::default()),
            odd_pictures: OddPictures::Refuse,
            workers: 2,
            pretrain_pictures: None,
        }
    }
}

/// Backbone, heads and prototypes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// The residual network.
    pub backbone: ResNetConfig,
    /// Hidden channels of the heads.
    pub hidden: usize,
    /// Dimensions of the embeddings that meet the prototypes.
    pub feature_dim: usize,
    /// Number of prototypes, K.
    pub prototypes: usize,
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self { backbone: ResNetConfig::resnet18(), hidden: 512, feature_dim: 128, prototypes: 500 }
    }
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// LARS, as the paper.
    Lars,
    /// LARS with biases and batch norms left to plain SGD.
    LarsExcludingNorms,
    /// Plain SGD with momentum.
    Sgd,
}

/// Optimiser and schedule of a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimSection {
    /// Which optimiser.
    pub algorithm: Algorithm,
    /// Learning rate at the start of the cosine.
    pub base_lr: f64,
    /// Learning rate at its end.
    pub final_lr: f64,
    /// Epochs of linear warm-up before the cosine.
    pub warmup_epochs: usize,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum.
    pub momentum: f64,
}

impl Default for OptimSection {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Lars,
            base_lr: 0.6,
            final_lr: 6e-4,
            warmup_epochs: 0,
            weight_decay: 1e-6,
            momentum: 0.9,
        }
    }
}

/// The swapped prediction of SwAV.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwappedSection {
    /// Softmax temperature τ.
    pub temperature: f64,
    /// Sinkhorn's ε.
    pub epsilon: f64,
    /// Sinkhorn iterations.
    pub sinkhorn_iterations: usize,
    /// Embeddings that each assigning crop remembers; rounded down to whole batches; 0 for none.
    pub queue_length: usize,
    /// First epoch with a queue.
    pub queue_from_epoch: usize,
}

impl Default for SwappedSection {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            epsilon: 0.05,
            sinkhorn_iterations: 3,
            queue_length: 2048,
            queue_from_epoch: 15,
        }
    }
}

/// Step 1: representation learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainSection {
    /// Passes over the training pictures; 0 leaves the backbone untrained (a control).
    pub epochs: usize,
    /// Pictures per step.
    pub batch: usize,
    /// Optimiser and schedule.
    pub optim: OptimSection,
    /// Multi-crop views.
    pub views: MultiCropConfig,
    /// Swapped prediction.
    pub swapped: SwappedSection,
    /// Iterations during which the prototypes keep still.
    pub freeze_prototypes_iterations: usize,
    /// Weight of the swapped prediction among the averaged terms.
    pub swapped_weight: f64,
    /// Shallow stages that D2S supervises (1 to 3), none to leave D2S out.
    pub shallow: Vec<usize>,
    /// Weight of each of them.
    pub shallow_weights: Vec<f64>,
    /// Whether P2P takes part.
    pub p2p: bool,
    /// Weight of P2P, outside the average.
    pub p2p_weight: f64,
    /// Epochs between checkpoints.
    pub checkpoint_epochs: usize,
}

impl Default for PretrainSection {
    fn default() -> Self {
        Self {
            epochs: 200,
            batch: 256,
            optim: OptimSection::default(),
            views: MultiCropConfig {
                groups: vec![crops(2, 224, 0.14, 1.0), crops(6, 96, 0.05, 0.14)],
                ..Default::default()
            },
            swapped: SwappedSection::default(),
            freeze_prototypes_iterations: 1001,
            swapped_weight: 1.0,
            shallow: vec![3],
            shallow_weights: vec![1.0],
            p2p: true,
            p2p_weight: 1.0,
            checkpoint_epochs: 1,
        }
    }
}

/// How the frozen backbone normalises while the attention learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrozenNorms {
    /// Batch statistics, running ones drift: as the reference.
    Batch,
    /// The running statistics of step 1.
    Moving,
}

/// Step 2.1: pixel attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionSection {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures per step.
    pub batch: usize,
    /// Optimiser and schedule.
    pub optim: OptimSection,
    /// Views: two global crops.
    pub views: MultiCropConfig,
    /// Swapped prediction.
    pub swapped: SwappedSection,
    /// Statistics of the frozen backbone.
    pub frozen_norms: FrozenNorms,
    /// Whether the prototypes learn too.
    pub train_prototypes: bool,
    /// Epochs between checkpoints.
    pub checkpoint_epochs: usize,
}

impl Default for AttentionSection {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 256,
            optim: OptimSection { base_lr: 6.0, ..Default::default() },
            views: MultiCropConfig {
                groups: vec![crops(2, 224, 0.08, 1.0)],
                ..Default::default()
            },
            swapped: SwappedSection {
                queue_length: 3840,
                queue_from_epoch: 0,
                ..Default::default()
            },
            frozen_norms: FrozenNorms::Batch,
            train_prototypes: true,
            checkpoint_epochs: 1,
        }
    }
}

/// Step 2.2: k-means of the attended embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// Restarts; the best run wins whole.
    pub restarts: usize,
    /// Lloyd iterations of each.
    pub iterations: usize,
    /// The shorter side of a picture is brought to this, in pixels.
    pub resize: u32,
    /// Side of the centre crop, in pixels.
    pub crop: u32,
    /// Pictures per forward pass.
    pub batch: usize,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self { restarts: 30, iterations: 20, resize: 256, crop: 224, batch: 256 }
    }
}

/// How the attention threshold is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ThresholdRule {
    /// The best mIoU on the validation masks, as the reference: one scalar of supervision.
    Validation,
    /// Otsu's threshold of the attention of the training pictures; uses no mask.
    Otsu,
    /// The threshold which leaves this share of the training pixels foreground; uses no mask.
    ForegroundShare(f64),
    /// This threshold.
    Fixed(f32),
}

/// Step 2.3: the attention threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdSection {
    /// The rule; left out, it is `validation` for data with validation masks and `otsu` without,
    /// and the resolved run file says which.
    pub rule: Option<ThresholdRule>,
}

/// Step 3: fine-tuning on the pseudo labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneSection {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures per step.
    pub batch: usize,
    /// Optimiser and schedule.
    pub optim: OptimSection,
    /// Side of the crop, in pixels.
    pub crop: usize,
    /// Smallest area of the crop, as a share of the picture.
    pub min_scale: f64,
    /// Largest area of the crop, as a share of the picture.
    pub max_scale: f64,
    /// Labels are brought to 1/this of the crop before the loss.
    pub label_stride: usize,
    /// Epochs between checkpoints.
    pub checkpoint_epochs: usize,
}

impl Default for FinetuneSection {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 256,
            optim: OptimSection::default(),
            crop: 224,
            min_scale: 0.08,
            max_scale: 1.0,
            label_stride: 2,
            checkpoint_epochs: 1,
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
}

impl Default for PredictSection {
    fn default() -> Self {
        Self { resize: 256, batch: 8, longer_side_cap: 1000 }
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
        Self { neighbours: 10, temperature: 0.07 }
    }
}

fn crops(count: usize, size: usize, min_scale: f64, max_scale: f64) -> CropGroup {
    CropGroup { count, size, min_scale, max_scale }
}

impl RunFile {
    /// Reads and checks the run file at `path`, with `overrides` (`key.of.it=value`) on top.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::RunFile`] or [`Error::Value`], naming file and key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read the run file"))?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// [`RunFile::read`] of a text; `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// As [`RunFile::read`].
    pub fn parse(text: &str, name: &str, overrides: &[String]) -> Result<Self, Error> {
        let refused =
            |cause: toml::de::Error| Error::RunFile { path: name.into(), cause: cause.to_string() };
        let file: Self = if overrides.is_empty() {
            toml::from_str(text).map_err(refused)?
        } else {
            let mut table: toml::Table = toml::from_str(text).map_err(refused)?;
            for setting in overrides {
                set(&mut table, setting, name)?;
            }
            let merged = toml::to_string(&table).expect("a parsed table can be written");
            toml::from_str(&merged).map_err(refused)?
        };
        crate::run_check::check(&file, name)?;
        Ok(file)
    }

    /// The document with every default spelled out.
    pub fn resolved(&self) -> String {
        toml::to_string(self).expect("a run file is plain data")
    }
}

/// Applies one `key.of.it=value`; a value that is no TOML is taken as a string.
fn set(table: &mut toml::Table, setting: &str, name: &str) -> Result<(), Error> {
    let refused = |cause: String| Error::RunFile { path: name.into(), cause };
    let (key, value) = setting
        .split_once('=')
        .ok_or_else(|| refused(format!("`{setting}` is no KEY=VALUE")))?;
    let value = toml::from_str::<toml::Table>(&format!("v = {value}"))
        .map(|mut parsed| parsed.remove("v").expect("just written"))
        .unwrap_or_else(|_| toml::Value::String(value.to_string()));
    let mut place = table;
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().expect("split yields one part at least");
    for part in parts {
        place = place
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| refused(format!("`{key}`: `{part}` is a value, not a section")))?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, fragments: &[&str]) {
        let message = RunFile::parse(text, "my.toml", &[]).unwrap_err().to_string();
        for fragment in fragments {
            assert!(message.contains(fragment), "no {fragment:?} in {message:?}");
        }
    }

    #[test]
    fn an_empty_run_file_is_the_published_recipe() {
        let file = RunFile::parse("", "empty", &[]).unwrap();
        assert_eq!(file.pretrain.epochs, 200);
        assert_eq!(file.attention.optim.base_lr, 6.0);
        assert_eq!(file.network.prototypes, 500);
    }

    #[test]
    fn a_typo_in_a_run_file_is_refused() {
        refused("[pretrain]\nepoch = 3", &["my.toml", "epoch"]);
    }

    #[test]
    fn a_wrong_type_in_a_run_file_is_refused() {
        refused("[pretrain]\nepochs = \"three\"", &["my.toml", "epochs"]);
    }

    #[test]
    fn an_impossible_value_is_refused_by_key_and_rule() {
        refused("[pretrain]\nbatch = 0", &["my.toml", "pretrain.batch", "0"]);
        refused("[pretrain]\nshallow = [4]", &["pretrain.shallow", "4"]);
        refused("[pretrain.optim]\nbase_lr = -0.1", &["pretrain.optim.base_lr", "-0.1"]);
        refused("[network]\nprototypes = 1", &["network.prototypes"]);
    }

    #[test]
    fn an_override_reaches_a_nested_key() {
        let file = RunFile::parse("", "empty", &["pretrain.optim.base_lr=1.5".into()]).unwrap();
        assert_eq!(file.pretrain.optim.base_lr, 1.5);
    }

    #[test]
    fn an_override_with_a_typo_is_refused() {
        let error = RunFile::parse("", "empty", &["pretrain.epoch=1".into()]).unwrap_err();
        assert!(error.to_string().contains("epoch"));
    }

    #[test]
    fn a_resolved_run_file_reads_back_as_itself() {
        let file = RunFile::parse("seed = 7", "seven", &[]).unwrap();
        assert_eq!(RunFile::parse(&file.resolved(), "resolved", &[]).unwrap(), file);
    }
}
