//! Supervised training on the class folders of the pictures: the upper bound of a comparison, and the
//! shortest way through every part of the trainer.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use serde::{Deserialize, Serialize};

use super::{Chance, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    group::Group,
    init::{WeightStream, name_parameters},
    norm::NormMode,
    precision::linear,
};

/// Settings of [`Supervised`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisedConfig {
    /// Share of the target that all classes have in equal parts, 0 in the published recipe (Szegedy et
    /// al. 2016, <https://arxiv.org/abs/1512.00567>, §7).
    pub label_smoothing: f64,
}

/// The network of [`Supervised`].
#[derive(Module, Debug)]
pub struct SupervisedNet {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// `[features, classes]`
    pub classifier: Linear,
}

/// Supervised training.
#[derive(Debug)]
pub struct Supervised {
    /// The network.
    pub net: SupervisedNet,
    config: SupervisedConfig,
    classes: usize,
}

impl Supervised {
    /// The method with the initial weights of a seed, for so many classes.
    pub fn new(
        config: SupervisedConfig,
        backbone: &BackboneConfig,
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let stream = &mut WeightStream::new(seed);
        let classifier = LinearConfig::new(backbone.channels(4), classes);
        let net = SupervisedNet {
            backbone: backbone.build(stream, device),
            classifier: stream.linear(&classifier, device),
        };
        Self {
            net: name_parameters(net),
            config,
            classes,
        }
    }

    /// `(1 - s)·-log p(class) + s·mean over classes of -log p`, of which the mean over pictures.
    fn cross_entropy(&self, logits: Tensor<2>, own: Tensor<2>) -> Tensor<1> {
        let [pictures, classes] = logits.dims();
        let smoothing = self.config.label_smoothing;
        let target = own * (1.0 - smoothing) + smoothing / classes as f64;
        -(log_softmax(logits, 1) * target).sum() / pictures as f64
    }
}

/// 1 in the column of each picture's class, `[pictures, classes]`.
fn one_hot(labels: &[usize], classes: usize, device: &Device) -> Tensor<2> {
    let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
    let count = labels.len();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), device);
    labels.one_hot::<2>(classes).float()
}

/// The share of pictures whose own class has the largest logit, `[1]`.
fn accuracy(logits: Tensor<2>, own: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().max_dim(1);
    (logits.equal(largest).float() * own).sum_dim(1).mean()
}

impl Method for Supervised {
    type Net = SupervisedNet;

    const CROPS: Option<usize> = Some(1);

    fn net(&self) -> &SupervisedNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut SupervisedNet {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.backbone
    }

    /// Each rank normalises by its own batch; the moving statistics are those of rank 0.
    ///
    /// # Panics
    ///
    /// If a label is no class.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let pictures = views.pictures.len();
        let crop = views.groups[0].clone().narrow(0, 0, pictures);
        let pooled = self.net.backbone.pooled_by(crop, NormMode::Parts(1, group));
        let logits = linear(&self.net.classifier, pooled);
        let own = one_hot(&views.labels, self.classes, &logits.device());
        let accuracy = accuracy(logits.clone().detach(), own.clone());
        let loss = self.cross_entropy(logits, own);
        Loss::of_terms(loss.clone(), [("classes", loss), ("accuracy", accuracy)])
    }

    fn wants_labels(&self) -> bool {
        true
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "classes",
            value: (self.classes as f64).ln(),
            called: "ln C",
            remedy: "more updates (more `epochs`, a smaller `batch`), a lower learning rate",
            rises_first: false,
        })
    }
}
