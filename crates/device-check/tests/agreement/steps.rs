//! Training steps of everything behind the backbone: heads, losses, queue and LARS together.

use burn::{
    module::Module,
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{DType, Device, Tensor},
};
use device_check::{NETWORK, Numbers, assert_agreement};
use pass_model::group::Group;
use pass_model::{
    heads::{
        PixelProjection, PixelProjectionConfig, Predictor, PredictorConfig, ProjectionHead,
        ProjectionHeadConfig, ShallowHead, ShallowHeadConfig,
    },
    init::{WeightStream, name_parameters},
    loss::{
        LossTerms, LossWeights, SwappedPredictionConfig, d2s_loss, p2p_loss, swapped_prediction,
        total_loss,
    },
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    optim::LarsConfig,
    overlap::sample_overlap,
    prototypes::{Prototypes, PrototypesConfig},
    queue::Queue,
};

/// Two crops of each of four pictures.
const BATCH: usize = 4;
const CROPS: usize = 2;
const CHANNELS: usize = 6;
const HIDDEN: usize = 10;
const EMBEDDING: usize = 5;

/// What a step trains on top of the feature maps.
#[derive(Module, Debug)]
struct Heads {
    projection: ProjectionHead,
    prototypes: Prototypes,
    pixel: PixelProjection,
    predictor: Predictor,
    shallow: ShallowHead,
}

impl Heads {
    fn new(device: &Device) -> Self {
        let stream = &mut WeightStream::new(10);
        let (features, hidden, embedding) = (CHANNELS, HIDDEN, EMBEDDING);
        let projection = ProjectionHeadConfig {
            features,
            hidden,
            embedding,
        };
        let prototypes = PrototypesConfig {
            prototypes: 7,
            embedding,
        };
        let (channels_in, channels_out) = (CHANNELS, EMBEDDING);
        let pixel = PixelProjectionConfig {
            channels_in,
            hidden,
            channels_out,
        };
        let predictor = PredictorConfig {
            channels: EMBEDDING,
        };
        let shallow = ShallowHeadConfig {
            stage: 3,
            channels: CHANNELS,
            hidden,
            embedding,
        };
        name_parameters(Self {
            projection: projection.init(stream, device),
            prototypes: prototypes.init(stream, device),
            pixel: pixel.init(stream, device),
            predictor: predictor.init(stream, device),
            shallow: shallow.init(stream, device),
        })
    }

    fn loss(
        &mut self,
        [deep, shallow]: [Tensor<4>; 2],
        grids: Tensor<3>,
        queue: &mut Queue,
    ) -> LossTerms {
        let mode = NormMode::Batch;
        let pooled = global_average_pool(deep.clone());
        let embeddings = l2_normalize(self.projection.forward(pooled, mode), 1);
        let shallow = l2_normalize(self.shallow.forward(shallow, mode), 1);
        let projected = sample_overlap(self.pixel.forward(deep, mode), grids);
        let predicted = self.predictor.forward(projected.clone(), mode);

        let swapped = swapped_prediction(
            self.prototypes.forward(embeddings.clone()),
            embeddings,
            self.prototypes.weights(),
            Some(queue),
            &SwappedPredictionConfig::default(),
            CROPS,
            &Group::default(),
        );
        let shallow_scores = self.prototypes.forward_detached(shallow);
        let d2s = d2s_loss(&swapped.assignments, shallow_scores, 0.1);
        let p2p = p2p_loss(projected, predicted);
        total_loss(
            swapped.loss,
            vec![(3, d2s)],
            Some(p2p),
            &LossWeights::default(),
        )
    }
}

/// Heads in training, with all that a step changes.
pub(crate) struct HeadTraining {
    heads: Heads,
    queue: Queue,
    optimizer: ModuleOptimizer,
}

impl HeadTraining {
    pub(crate) fn new(device: &Device) -> Self {
        let optimizer = LarsConfig {
            trust: 0.05,
            ..LarsConfig::default()
        };
        Self {
            heads: Heads::new(device),
            queue: Queue::new(2 * BATCH, BATCH, EMBEDDING, device),
            optimizer: optimizer.init(),
        }
    }

    /// A step on fresh maps, and its loss.
    pub(crate) fn step(&mut self, numbers: &mut Numbers, device: &Device) -> Tensor<1> {
        self.heads.prototypes.normalize();
        let upload = |data| Tensor::from_data(data, (device, DType::F32));
        let maps = [(); 2].map(|()| upload(numbers.normal([CROPS * BATCH, CHANNELS, 5, 7])));
        let grids = numbers.uniform([CROPS * BATCH, 49, 2], [-1.1, 1.1]);
        let grids = Tensor::from_data(grids, (device, DType::F32));
        let terms = self.heads.loss(maps, grids, &mut self.queue);
        let gradients = GradientsParams::from_grads(terms.total.backward(), &self.heads);
        self.heads = self.optimizer.step(0.3, self.heads.clone(), gradients);
        terms.total
    }
}

/// In the third step the queue takes part in the assignment.
///
/// The moving means are not compared: they follow the biases in front of the norms, which LARS
/// moves at random (see [`device_check::Lab::changes`]).
#[test]
fn training_steps_of_all_heads_agree() {
    assert_agreement(NETWORK, |lab| {
        let device = lab.device().clone();
        let mut training = HeadTraining::new(&device);
        let start = training.heads.clone();
        for _ in 0..3 {
            let loss = training.step(lab.numbers(), &device);
            lab.value("total loss", loss);
        }
        lab.changes(&start, &training.heads, &["linear1.bias", "linear2.bias"]);
        lab.value("queue", training.queue.embeddings(0));
    });
}
