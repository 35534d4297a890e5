//! What is applied to pictures, and all that its labels depend on.

use std::{fs, path::Path};

use burn::{module::Module, tensor::Device};
use imagenet_s::{Decoding, OddPictures, views::Normalization};
use luss_metrics::Matching;
use pass_model::{
    checkpoint::{load_field, load_module},
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Error, RunDir, RunFile, Step,
    apply::{
        file::{NETWORK, Packed, read_packed, tensors_sum},
        fine_tuned::{FineTuned, Labelled, Sizing},
    },
    inference::{Prepared, to_tensor},
    quoted,
    run_file::{LabelWay, PredictSection, Predictor},
    step::{
        evaluate::category_names_by,
        objects::{ObjectModel, ObjectRule},
    },
    view_batch::normalization,
};

/// What labels the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The network of step 3.
    FineTuned,
    /// The rule of the pseudo labels of `cluster.way = "objects"`, on the backbone of step 1.
    Objects,
}

impl Kind {
    /// What labels the pictures of the run in `root` with these settings.
    fn of(root: &Path, file: &RunFile) -> Result<Self, Error> {
        match (file.predict.predictor, file.cluster.way) {
            (Predictor::FineTuned, _) => Ok(Self::FineTuned),
            (Predictor::Labels, LabelWay::Objects) => Ok(Self::Objects),
            (Predictor::Labels, _) => Err(Error::Value {
                place: root.join("run.toml").display().to_string(),
                key: "predict.predictor".to_owned(),
                value: "\"labels\"".to_owned(),
                rule: format!(
                    "only the labels of `cluster.way` = \"objects\" can be made for other pictures; `luss run --run {} \
                     --set predict.predictor=fine_tuned` makes a network that labels them",
                    quoted(root)
                ),
            }),
        }
    }

    /// The step whose weights it takes, and where they are among its tensors.
    pub(super) fn weights(self) -> (Step, Option<&'static str>) {
        match self {
            Self::FineTuned => (Step::Finetune, None),
            Self::Objects => (Step::Pretrain, Some("backbone")),
        }
    }
}

/// All that decides the labels of a picture, beside its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What labels the pictures.
    pub kind: Kind,
    /// The network; of objects its backbone alone, and the number of categories.
    pub network: SegmentationNetConfig,
    /// How objects are found and named.
    pub objects: Option<ObjectRule>,
    /// SHA-256 of names, shapes and bytes of its weights.
    pub weights_sha256: String,
    /// What pictures are normalised with.
    pub normalization: Normalization,
    /// How files become pixels.
    pub decoding: Decoding,
    /// How pictures with an unusual encoding are read.
    pub odd_pictures: OddPictures,
    /// How step 4 resizes pictures and makes labels of logits.
    pub predict: PredictSection,
    /// What the categories are called, from 1 on.
    pub names: Vec<String>,
    /// The class that each category was matched with, from 1 on; empty for data without masks.
    pub classes: Vec<u16>,
}

impl About {
    /// Categories without OTHER.
    pub fn categories(&self) -> u16 {
        u16::try_from(self.network.classes).expect("ids fit u16")
    }

    /// The sizes of the run.
    pub fn sizing(&self) -> Sizing {
        match &self.objects {
            Some(rule) => Sizing::of_square(rule.objects.size),
            None => Sizing::of_step(&self.predict),
        }
    }

    /// SHA-256 of all of this that labels depend on; names, and how masks are stored, are not among it.
    pub fn sum(&self) -> String {
        let text = serde_json::to_vec(&self.of_labels()).expect("plain data");
        hex(Sha256::digest(text))
    }

    /// The same with the usual values of what changes no label.
    fn of_labels(&self) -> Self {
        let usual = PredictSection::default();
        Self {
            names: Vec::new(),
            classes: Vec::new(),
            predict: PredictSection {
                batch: usual.batch,
                attention: usual.attention,
                masks: usual.masks,
                ..self.predict.clone()
            },
            ..self.clone()
        }
    }

    /// What is known of a finished run whose weights are `tensors`.
    pub(super) fn of_run(run: &RunDir, tensors: &[u8]) -> Result<Self, Error> {
        let root = run.root();
        let file = RunDir::stored(root)?.ok_or_else(|| Error::NoRun { path: root.into() })?;
        let kind = Kind::of(root, &file)?;
        let weights = run.weights(kind.weights().0);
        let damaged = |cause: String| Error::Damaged {
            path: weights.clone(),
            cause,
        };
        let tensors = safetensors::SafeTensors::deserialize(tensors);
        let tensors = tensors.map_err(|cause| damaged(cause.to_string()))?;
        let objects = match kind {
            Kind::Objects => Some(ObjectRule::of_run(run, file.objects.clone())?),
            Kind::FineTuned => None,
        };
        let classes = match &objects {
            Some(rule) => rule.categories(),
            None => {
                let bias = tensors.tensor("head.bias");
                let bias = bias.map_err(|cause| damaged(cause.to_string()))?;
                bias.shape().iter().product::<usize>().saturating_sub(1)
            }
        };
        Ok(Self {
            kind,
            objects,
            network: SegmentationNetConfig {
                backbone: file.network.backbone.clone(),
                classes,
                head: HeadDraw::default(),
            },
            weights_sha256: tensors_sum(tensors.iter()),
            normalization: normalization(&file),
            decoding: file.data.decoding(),
            odd_pictures: file.data.odd_pictures,
            names: names_of(run, classes)?,
            classes: classes_of(run)?,
            predict: file.predict,
        })
    }
}

/// What the categories of a run are called, from 1 on: the classes that its evaluation has matched them with,
/// else their numbers.
///
/// # Errors
///
/// A `categories.json` that cannot be read.
pub fn names_of(run: &RunDir, classes: usize) -> Result<Vec<String>, Error> {
    let path = run.file("categories.json");
    if run.is_done(Step::Evaluate) && path.exists() {
        return run.read_json(&path);
    }
    Ok(category_names_by(None, &[], classes as u16))
}

fn classes_of(run: &RunDir) -> Result<Vec<u16>, Error> {
    let path = run.file("match.json");
    if !(run.is_done(Step::Evaluate) && path.exists()) {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
    let matching = Matching::from_json(&text)?;
    Ok((1..=matching.clusters())
        .map(|id| matching.class_of(id))
        .collect())
}

pub(super) fn hex(digest: impl AsRef<[u8]>) -> String {
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A finished run, ready for other pictures.
pub struct Model {
    about: About,
    network: Network,
}

/// What labels the pictures.
enum Network {
    FineTuned(Box<FineTuned>),
    Objects(Box<ObjectModel>),
}

impl Model {
    /// That of the run in `root`, whose pictures may be elsewhere by now.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`], [`Error::StepMissing`] before step 3, or before step 2.2 where the pseudo labels are the
    /// result; [`Error::Value`] for pseudo labels of pixels or pictures as the result; [`Error::ChangedFile`] for
    /// weights that are not what it left; files that cannot be read.
    pub fn of_run(root: &Path, device: Device) -> Result<Self, Error> {
        let (run, kind) = finished_run(root)?;
        let (step, field) = kind.weights();
        let weights = run.unchanged_weights(step)?;
        let tensors = fs::read(&weights).map_err(Error::io(&weights, "read"))?;
        let about = About::of_run(&run, &tensors)?;
        Self::new(
            about,
            device,
            &Weights {
                path: &weights,
                field,
            },
        )
    }

    /// That of a file of [`export_model`](super::export_model).
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::ModelFile`] for any other file, and for one that is torn or changed.
    pub fn read(path: &Path, device: Device) -> Result<Self, Error> {
        let Packed { about, .. } = read_packed(path)?;
        let field = Some(NETWORK);
        Self::new(about, device, &Weights { path, field }).map_err(|cause| Error::ModelFile {
            path: path.into(),
            cause: cause.to_string(),
        })
    }

    fn new(about: About, device: Device, weights: &Weights) -> Result<Self, Error> {
        let normalization = about.normalization;
        let network = match &about.objects {
            Some(rule) => {
                let mut backbone = about.network.backbone.init(0, &device);
                weights.load(&mut backbone)?;
                let refine = about.predict.refine.clone();
                let model =
                    ObjectModel::new(backbone, rule.clone(), refine, normalization, device)?;
                Network::Objects(Box::new(model))
            }
            None => {
                let mut net = about.network.init(0, &device);
                weights.load(&mut net)?;
                Network::FineTuned(Box::new(FineTuned {
                    net,
                    backbone: about.network.backbone.clone(),
                    classes: about.network.classes,
                    normalization,
                    inference: about.predict.inference,
                    device,
                }))
            }
        };
        Ok(Self { about, network })
    }

    /// What decides its labels.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Labels pictures of one size, as the network sees them, prepared with the same sizes.
    ///
    /// # Errors
    ///
    /// Logits that are not finite.
    ///
    /// # Panics
    ///
    /// Without a picture, or for pictures of several sizes.
    pub fn label(
        &mut self,
        pictures: &[Prepared],
        sizing: &Sizing,
    ) -> Result<Vec<Labelled>, Error> {
        match &mut self.network {
            Network::FineTuned(network) => {
                let (normalization, device) = (network.normalization, network.device.clone());
                let together = || to_tensor(pictures, &normalization, &device);
                network.label(pictures, sizing, together)
            }
            Network::Objects(model) => model.label(pictures),
        }
    }
}

/// A file of weights, and where in it they are.
struct Weights<'a> {
    path: &'a Path,
    field: Option<&'static str>,
}

impl Weights<'_> {
    fn load<M: Module>(&self, module: &mut M) -> Result<(), Error> {
        match self.field {
            None => load_module(module, self.path)?,
            Some(field) => {
                load_field(module, field, self.path)?;
            }
        }
        Ok(())
    }
}

/// A run that has what labels pictures.
pub(super) fn finished_run(root: &Path) -> Result<(RunDir, Kind), Error> {
    let file = RunDir::stored(root)?.ok_or_else(|| Error::NoRun { path: root.into() })?;
    let run = RunDir::find(root, &file)?;
    let kind = Kind::of(root, &file)?;
    let needs: &[Step] = match kind {
        Kind::FineTuned => &[Step::Finetune],
        Kind::Objects => &[Step::FindObjects, Step::Cluster],
    };
    // Also of a step that the settings leave out, whose result would be an old one.
    match needs.iter().find(|step| !run.is_done(**step)) {
        Some(missing) => Err(Error::StepMissing {
            step: Step::Predict.name(),
            needs: missing.name(),
        }),
        None => Ok((run, kind)),
    }
}
