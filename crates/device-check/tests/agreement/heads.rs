//! The heads on top of the backbone, and the pooling in front of them.

use device_check::{NETWORK, OPERATION, assert_agreement};
use pass_model::{
    heads::{PixelProjectionConfig, PredictorConfig, ProjectionHeadConfig, ShallowHeadConfig},
    init::WeightStream,
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
};

use crate::{MAPS, MODES};

#[test]
fn pooling_and_unit_length_agree() {
    assert_agreement(OPERATION, |lab| {
        let maps = lab.input("maps", MAPS);
        let zeros = lab.constant([1, 6]) * 0.0;
        let pooled = global_average_pool(maps);
        lab.output("pooled", pooled.clone());
        lab.output("unit", l2_normalize(pooled, 1));
        lab.value("zero", l2_normalize(zeros, 1));
    });
}

#[test]
fn the_projection_head_agrees() {
    for mode in MODES {
        assert_agreement(NETWORK, |lab| {
            let config = ProjectionHeadConfig {
                features: 6,
                hidden: 10,
                embedding: 5,
            };
            let head = config.init(&mut WeightStream::new(3), lab.device());
            let mut head = lab.module(head);
            let features = lab.input("features", [8, 6]);
            let embeddings = head.forward(features, mode);
            lab.output("embeddings", embeddings);
            lab.buffers(&head);
        });
    }
}

#[test]
fn the_pixel_projection_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = PixelProjectionConfig {
            channels_in: 6,
            hidden: 10,
            channels_out: 5,
        };
        let head = config.init(&mut WeightStream::new(4), lab.device());
        let mut head = lab.module(head);
        let maps = lab.input("maps", MAPS);
        let projected = head.forward(maps, NormMode::Batch);
        lab.output("projected", projected);
    });
}

#[test]
fn the_predictor_agrees() {
    assert_agreement(NETWORK, |lab| {
        let head = PredictorConfig { channels: 5 }.init(&mut WeightStream::new(5), lab.device());
        let mut head = lab.module(head);
        let maps = lab.input("maps", [4, 5, 7, 7]);
        let predicted = head.forward(maps, NormMode::Batch);
        lab.output("predicted", predicted);
    });
}

#[test]
fn the_shallow_head_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = ShallowHeadConfig {
            stage: 3,
            channels: 6,
            hidden: 10,
            embedding: 5,
        };
        let head = config.init(&mut WeightStream::new(6), lab.device());
        let mut head = lab.module(head);
        let maps = lab.input("maps", MAPS);
        let embeddings = head.forward(maps, NormMode::Batch);
        lab.output("embeddings", embeddings);
    });
}
