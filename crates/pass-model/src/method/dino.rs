//! DINO (Caron et al. 2021, <https://arxiv.org/abs/2104.14294>): a student gives each view the
//! distribution over prototypes that its momentum encoder, the teacher, gives another view.

use burn::{
    module::{Module, ParamId},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Chance, HeadOutput, HeadSignal, Loss, Memory, Method, Position, ViewBatch, simclr::halves,
};
use crate::{
    backbone::{Backbone, BackboneConfig},
    centre::Centre,
    group::Group,
    heads::{Activation, InitialWeights, LayerConfig, Mlp, MlpConfig, WeightNormLinear},
    init::{WeightStream, name_parameters},
    loss::{DinoTemperatures, dino_loss},
    momentum_encoder::{MomentumSchedule, follow, frozen_copy},
    norm::NormMode,
    normalize::l2_normalize,
    optim::parameters_of,
};

/// Settings of [`Dino`]; the defaults are those of a ResNet, with the momentum that the authors advise
/// for a batch of 256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoConfig {
    /// K
    pub prototypes: usize,
    /// Width of the two hidden layers of the head.
    pub hidden: usize,
    /// Length of the embeddings that are compared with the prototypes.
    pub bottleneck: usize,
    /// Whether prototypes keep length 1; false is advised for ViT-S alone.
    pub norm_last_layer: bool,
    /// τ_s
    pub student_temperature: f64,
    /// τ_t behind its warm-up.
    pub teacher_temperature: f64,
    /// τ_t in the first epoch of its warm-up.
    pub warmup_teacher_temperature: f64,
    /// Epochs of that warm-up.
    pub warmup_teacher_epochs: usize,
    /// What the teacher keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// What the centre keeps of itself in each iteration.
    pub centre_momentum: f64,
    /// Epochs during which the prototypes keep still.
    pub freeze_last_layer_epochs: usize,
}

impl Default for DinoConfig {
    fn default() -> Self {
        Self {
            prototypes: 65_536,
            hidden: 2048,
            bottleneck: 256,
            norm_last_layer: true,
            student_temperature: 0.1,
            teacher_temperature: 0.04,
            warmup_teacher_temperature: 0.04,
            warmup_teacher_epochs: 0,
            momentum: 0.9995,
            centre_momentum: 0.9,
            freeze_last_layer_epochs: 1,
        }
    }
}

impl DinoConfig {
    /// τ_t of an epoch: linear over the epochs of the warm-up, both ends among them.
    pub fn teacher_temperature_in(&self, epoch: usize) -> f64 {
        let (start, end) = (self.warmup_teacher_temperature, self.teacher_temperature);
        if epoch >= self.warmup_teacher_epochs {
            return end;
        }
        let steps = (self.warmup_teacher_epochs - 1).max(1) as f64;
        start + (end - start) * epoch as f64 / steps
    }

    fn head(&self, features: usize, stream: &mut WeightStream, device: &Device) -> DinoHead {
        let hidden = LayerConfig::new(self.hidden).activation(Activation::Gelu);
        let layers = vec![hidden, hidden, LayerConfig::new(self.bottleneck)];
        let mlp = MlpConfig::new(features, layers).weights(InitialWeights::Transformer);
        DinoHead {
            mlp: mlp.init(stream, device),
            prototypes: WeightNormLinear::new(
                [self.bottleneck, self.prototypes],
                !self.norm_last_layer,
                stream,
                device,
            ),
        }
    }
}

/// From pooled features to products with prototypes.
#[derive(Module, Debug)]
pub struct DinoHead {
    /// To the embeddings.
    pub mlp: Mlp,
    /// What embeddings of unit length are compared with.
    pub prototypes: WeightNormLinear,
}

/// Student or teacher.
#[derive(Module, Debug)]
pub struct DinoEncoder {
    /// On pictures.
    pub backbone: Backbone,
    /// On its pooled features.
    pub head: DinoHead,
}

impl DinoHead {
    /// # Shapes
    ///
    /// - `pooled`: one tensor a resolution, `[rows, features]`
    /// - output: `[rows of all, prototypes]`
    fn forward(&mut self, pooled: Vec<Tensor<2>>, mode: NormMode) -> Tensor<2> {
        let embeddings = self.mlp.forward(Tensor::cat(pooled, 0), mode);
        self.prototypes.forward(l2_normalize(embeddings, 1))
    }
}

/// The network of [`Dino`].
#[derive(Module, Debug)]
pub struct DinoNet {
    /// The student's.
    pub backbone: Backbone,
    /// The student's.
    pub head: DinoHead,
    /// The teacher.
    pub momentum: DinoEncoder,
}

/// DINO in training.
#[derive(Debug)]
pub struct Dino {
    /// The network.
    pub net: DinoNet,
    /// Of the teacher's logits.
    pub centre: Centre,
    config: DinoConfig,
    teacher_temperature: f64,
}

impl Dino {
    /// The method with the initial weights of a seed.
    pub fn new(config: DinoConfig, backbone: &BackboneConfig, seed: u64, device: &Device) -> Self {
        let stream = &mut WeightStream::new(seed);
        let student = DinoEncoder {
            backbone: backbone.build(stream, device),
            head: config.head(backbone.channels(4), stream, device),
        };
        let momentum = frozen_copy(&student);
        let DinoEncoder { backbone, head } = student;
        Self {
            net: name_parameters(DinoNet {
                backbone,
                head,
                momentum,
            }),
            centre: Centre::new(config.prototypes, config.centre_momentum, device),
            teacher_temperature: config.teacher_temperature_in(0),
            config,
        }
    }
}

impl Method for Dino {
    type Net = DinoNet;

    fn net(&self) -> &DinoNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut DinoNet {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.momentum.backbone
    }

    /// The teacher.
    fn result(&self) -> impl Module {
        self.net.momentum.clone()
    }

    fn before_step(&mut self, at: Position, _group: &Group) {
        self.teacher_temperature = self.config.teacher_temperature_in(at.epoch);
    }

    /// The teacher sees the two global crops. Norms take each resolution by itself.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let (pictures, mode) = (views.pictures.len(), NormMode::Group(group));
        let global = Tensor::cat(views.pair().into(), 0);
        let teacher = self.net.momentum.backbone.pooled_by(global, mode);
        let teacher = self.net.momentum.head.forward(vec![teacher], mode).detach();
        let student = views.groups.into_iter();
        let student = student.map(|crops| self.net.backbone.pooled_by(crops, mode));
        let student = student.collect();
        let student = self.net.head.forward(student, mode);
        let students = student.clone().split(pictures, 0);
        let temperatures = DinoTemperatures {
            student: self.config.student_temperature,
            teacher: self.teacher_temperature,
        };
        let targets = halves(teacher.clone());
        let loss = dino_loss(&students, targets, self.centre.value(), temperatures);
        self.centre.update(teacher, group);
        let head = views
            .watched
            .then(|| self.signal(student.narrow(0, 0, 2 * pictures)));
        Loss::new("distillation", loss).with_heads(head.into_iter().collect())
    }

    fn after_update(&mut self, at: Position, _group: &Group) {
        let schedule = MomentumSchedule {
            base: self.config.momentum,
            total: at.iterations as u64,
        };
        let student = DinoEncoder {
            backbone: self.net.backbone.clone(),
            head: self.net.head.clone(),
        };
        let momentum = schedule.momentum(at.iteration as u64);
        follow(&mut self.net.momentum, &student, momentum);
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the centre moves once for each part")
    }

    fn frozen(&self, at: Position) -> Vec<ParamId> {
        if at.epoch < self.config.freeze_last_layer_epochs {
            parameters_of(&self.net.head.prototypes)
        } else {
            Vec::new()
        }
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.centre)
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "distillation",
            value: (self.config.prototypes as f64).ln(),
            called: "ln K",
            remedy: "a lower `dino.teacher_temperature`, a lower `dino.momentum` (0.99 to 0.996), a \
                     lower learning rate, fewer `dino.prototypes`",
            rises_first: false,
        })
    }
}

impl Dino {
    fn signal(&self, scores: Tensor<2>) -> HeadSignal {
        HeadSignal {
            name: "prototypes".into(),
            description: "the student's head (`pretrain.dino.teacher_temperature`)".into(),
            output: HeadOutput::Scores {
                scores,
                dim: self.config.bottleneck,
            },
        }
    }
}
