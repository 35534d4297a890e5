//! The run file: everything that decides the result of a run, in one TOML document.
//!
//! The defaults are the published ones of ImageNet-S50 with ResNet-18; `docs/PIPELINE.md` lists
//! every key. A file states what it changes, key by key: naming one key of a section leaves the
//! others of that section at the defaults of *that* section. An unknown key, a wrong type or an
//! impossible value is refused before anything starts.

mod check;
mod data;
mod epochs;
mod inference;
mod layers;
mod limits;
mod memory;
mod objects;
mod overrides;
mod training;
mod watching;

use std::{path::Path, sync::LazyLock};

use pass_model::{backbone::BackboneConfig, precision::Precision, pretrain_net::NetworkConfig};
use pixel_attention::distance_matching::DistanceMatchingConfig;
use serde::{Deserialize, Serialize};

use crate::Error;
pub(crate) use check::check_keys;
use check::{Fault, check};
use overrides::{Override, with_overrides};

pub(crate) use memory::{Amount, Memory, check_memory, machine_memory};

pub use crate::step::pretrain::methods::Method;
pub use data::{BadPictures, DataSection, Pairs, RedDeviation, Source};
pub use inference::{
    ClusterSection, Inference, KMeansPlace, LabelWay, MaskForm, PredictSection, Predictor,
    ThresholdSection,
};
pub use luss_metrics::ThresholdRule;
pub use objects::ObjectsSection;
pub use training::{
    AttentionSection, BatchRule, FinetuneSection, FrozenNorms, HeadDraw, PUBLISHED_BATCH,
    PretrainSection,
};
pub use watching::{CheckpointsSection, HealthSection, OnFault, ProbeSection};

/// Most threads of the loader, and of the arithmetic.
pub const MOST_THREADS: usize = 1024;

/// Everything that decides the result of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunFile {
    /// Keys every random stream of the run.
    pub seed: u64,
    /// The type that the convolutions of the three trainings compute in; every other step computes in
    /// float32.
    pub precision: Precision,
    /// The pictures.
    pub data: DataSection,
    /// Backbone, heads and prototypes.
    pub network: NetworkConfig,
    /// Step 1: representation learning.
    pub pretrain: PretrainSection,
    /// Step 2.1: pixel attention.
    pub attention: AttentionSection,
    /// Step 2.1 of `cluster.way = "objects"`: what is found on the frozen backbone.
    pub objects: ObjectsSection,
    /// Step 2.2: k-means of the attended embeddings.
    pub cluster: ClusterSection,
    /// Step 2.3: the attention threshold.
    pub threshold: ThresholdSection,
    /// Step 3: fine-tuning on the pseudo labels.
    pub finetune: FinetuneSection,
    /// Steps 2.3, 2.4 and 4 and distance matching: pictures as they are at inference.
    pub predict: PredictSection,
    /// The k-NN protocol.
    pub distance_matching: DistanceMatchingConfig,
    /// Checkpoints of the trainings.
    pub checkpoints: CheckpointsSection,
    /// What the trainings are watched for.
    pub health: HealthSection,
    /// The k-NN probe of step 1.
    pub probe: ProbeSection,
}

impl RunFile {
    /// Reads and checks the run file at `path`, with `overrides` (`key.of.it=value`) on top.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::RunFile`], [`Error::Value`] or [`Error::Setting`], naming file or
    /// override, and key.
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
        let place = format!("run file {name}");
        let mut table = Self::default().table().expect("the defaults are plain");
        layers::lay_over(&mut table, stated(text, &place)?);
        let overrides = overrides.iter().map(|text| Override::read(text));
        let overrides = overrides.collect::<Result<Vec<_>, _>>()?;
        with_overrides(&table, &overrides, &place)
    }

    /// Refuses values that cannot work, or that no `run.toml` can hold; `place` says where they come
    /// from.
    pub(crate) fn check(&self, place: &str) -> Result<(), Error> {
        let unwritable = |cause: String| Error::RunFile {
            path: place.into(),
            cause: format!("run.toml cannot hold this: {cause}"),
        };
        let table = self
            .table()
            .map_err(|cause| unwritable(cause.to_string()))?;
        check(self, &table).map_err(|fault| fault.at(place))?;
        let again = toml::from_str::<Self>(&self.resolved());
        match again.map_err(|cause| unwritable(cause.to_string()))? == *self {
            true => Ok(()),
            false => Err(unwritable("it would be read back as another".into())),
        }
    }

    /// Refuses settings that need more memory than there is.
    pub(crate) fn check_memory(&self, amount: Amount, there: &Memory) -> Result<(), Error> {
        check_memory(self, amount, there).map_err(|fault| fault.at("this run"))
    }

    /// The document with every default spelled out.
    pub fn resolved(&self) -> String {
        toml::to_string(self).expect("a run file is plain data")
    }

    fn table(&self) -> Result<toml::Table, toml::ser::Error> {
        toml::Table::try_from(self)
    }
}

/// A stored text, which may lack keys, on top of the defaults. Unchecked.
pub(crate) fn laid_over_defaults(text: &str) -> Result<toml::Table, toml::de::Error> {
    static DEFAULTS: LazyLock<toml::Table> = LazyLock::new(|| {
        let defaults = RunFile::default().resolved();
        toml::from_str(&defaults).expect("the defaults are plain")
    });
    let mut table = DEFAULTS.clone();
    layers::lay_over(&mut table, toml::from_str(text)?);
    complete_backbone(&mut table);
    Ok(table)
}

/// Gives a backbone of another family than the default's the defaults of its own.
fn complete_backbone(table: &mut toml::Table) -> Option<()> {
    let backbone = table.get_mut("network")?.get_mut("backbone")?;
    let config: BackboneConfig = backbone.clone().try_into().ok()?;
    *backbone = toml::Value::try_from(config).ok()?;
    Some(())
}

/// What a text says, checked by itself: errors then point at the line.
fn stated(text: &str, place: &str) -> Result<toml::Table, Error> {
    let refused = |cause: toml::de::Error| Error::RunFile {
        path: place.into(),
        cause: cause.to_string(),
    };
    let table = toml::from_str::<toml::Table>(text).map_err(refused)?;
    let Err(cause) = toml::from_str::<RunFile>(text) else {
        return Ok(table);
    };
    // A number of the wrong kind: its limits tell more than its type.
    limits::check_numbers(&table).map_err(|fault| fault.at(place))?;
    Err(refused(cause))
}

impl Fault {
    /// The same as an error; `place` says where the value comes from.
    pub(crate) fn at(self, place: &str) -> Error {
        let Self { key, value, rule } = self;
        Error::Value {
            place: place.into(),
            key,
            value,
            rule,
        }
    }
}

#[cfg(test)]
#[path = "tests/every_key.rs"]
mod every_key;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, fragments: &[&str]) {
        let message = RunFile::parse(text, "my.toml", &[])
            .unwrap_err()
            .to_string();
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
    fn every_example_is_a_valid_run_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
        let files = std::fs::read_dir(folder).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 6, "{files:?}");
        for path in files {
            RunFile::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn pass_p_needs_two_crops_and_a_momentum_below_one() {
        let pass_p = "[pretrain]\nmethod = \"pass_p\"\n";
        let consistency = |line: &str| format!("{pass_p}[pretrain.consistency]\n{line}");
        refused(
            &consistency("momentum = 1.5"),
            &["consistency.momentum", "1.5"],
        );
        refused(&consistency("positive_ratio = 0.0"), &["positive_ratio"]);
        let crops = "[pretrain.views]\ngroups = [{ count = 3, size = 8, min_scale = 0.1, max_scale = 1.0 }]";
        let alone = "p2p = false\nshallow = []\nshallow_weights = []\n";
        refused(
            &format!("{pass_p}{alone}{crops}"),
            &["pretrain.views.groups", "3"],
        );
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
        refused(
            "[pretrain.optim]\nbase_lr = -0.1",
            &["pretrain.optim.base_lr", "-0.1"],
        );
        refused("[network]\nprototypes = 1", &["network.prototypes"]);
    }

    #[test]
    fn one_key_of_a_section_leaves_its_other_defaults() {
        let file = RunFile::parse("[attention.optim]\nfinal_lr = 0.1", "test", &[]).unwrap();
        assert_eq!(file.attention.optim.base_lr, 6.0);
        let views = &["pretrain.views.blur_probability=0.0".to_string()];
        let file = RunFile::parse("", "test", views).unwrap();
        assert_eq!(file.pretrain.views.groups.len(), 2);
    }

    #[test]
    fn another_source_replaces_the_whole_section() {
        let file = RunFile::parse("[data.source.layout]\npath = \"a\"", "test", &[]).unwrap();
        assert_eq!(file.data.source, Source::Layout { path: "a".into() });
    }

    #[test]
    fn k_means_goes_to_the_device_only_when_told() {
        let place = |text| {
            let file = RunFile::parse(text, "test", &[]).unwrap();
            let again = RunFile::parse(&file.resolved(), "resolved", &[]).unwrap();
            assert_eq!(again, file);
            file.cluster.kmeans
        };
        assert_eq!(place(""), KMeansPlace::Host);
        let default = KMeansPlace::Device(Default::default());
        assert_eq!(place("[cluster]\nkmeans = { device = {} }"), default);
        let streamed = "[cluster.kmeans.device]\nresident_bytes = 0\ncompute = \"operations\"";
        assert_ne!(place(streamed), default);
        refused("[cluster]\nkmeans = \"gpu\"", &["kmeans", "gpu"]);
        refused("[cluster.kmeans.device]\nmemory = 3", &["memory"]);
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
        assert_eq!(
            RunFile::parse(&file.resolved(), "resolved", &[]).unwrap(),
            file
        );
    }
}
