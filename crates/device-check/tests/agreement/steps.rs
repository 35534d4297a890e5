//! Training steps of everything behind the backbone: heads, losses, queue and LARS together.

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use device_check::{NETWORK, assert_agreement};
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
            &SwappedPredictionConfig::new(),
            CROPS,
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

/// In the third step the queue takes part in the assignment.
///
/// The moving means are not compared: they follow the biases in front of the norms, which LARS
/// moves at random (see [`device_check::Lab::changes`]).
#[test]
fn training_steps_of_all_heads_agree() {
    assert_agreement(NETWORK, |lab| {
        let start = Heads::new(lab.device());
        let mut heads = start.clone();
        let mut queue = Queue::new(2 * BATCH, BATCH, EMBEDDING, lab.device());
        let mut optimizer = LarsConfig {
            trust: 0.05,
            ..LarsConfig::default()
        }
        .init();
        for _ in 0..3 {
            heads.prototypes.normalize();
            let maps = [(); 2].map(|()| lab.constant([CROPS * BATCH, CHANNELS, 5, 7]));
            let grids = lab.numbers().uniform([CROPS * BATCH, 49, 2], [-1.1, 1.1]);
            let grids = lab.upload(grids);
            let terms = heads.loss(maps, grids, &mut queue);
            let gradients = GradientsParams::from_grads(terms.total.backward(), &heads);
            heads = optimizer.step(0.3, heads, gradients);
            lab.value("total loss", terms.total);
        }
        lab.changes(&start, &heads, &["linear1.bias", "linear2.bias"]);
        lab.value("queue", queue.embeddings(0));
    });
}
