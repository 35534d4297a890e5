//! Several steps of each optimiser.

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::Tensor,
};
use device_check::{Lab, NETWORK, assert_agreement};
use pass_model::{
    heads::{ProjectionHead, ProjectionHeadConfig},
    init::{WeightStream, name_parameters},
    norm::NormMode,
    optim::{LarsConfig, LarsExclusion, SgdConfig},
};

/// Three steps of a projection head, whose norm starts with a shift of zero.
///
/// What is compared is the way that each weight went: beside the weight itself an error of it
/// would be hard to see. A trust of 0.05 instead of 0.001 makes the way long enough for float32.
fn check(optimizer: impl Fn() -> ModuleOptimizer) {
    assert_agreement(NETWORK, |lab| {
        let head = ProjectionHeadConfig {
            features: 6,
            hidden: 10,
            embedding: 5,
        };
        let start = name_parameters(head.init(&mut WeightStream::new(9), lab.device()));
        let mut head = start.clone();
        let mut optimizer = optimizer();
        for iteration in 0..3 {
            let loss = loss(lab, &mut head);
            let mut gradients = GradientsParams::from_grads(loss.backward(), &head);
            if iteration == 0 {
                // as prototypes are frozen in the first iterations
                gradients.remove::<2>(head.linear2.weight.id);
            }
            head = optimizer.step(0.6, head, gradients);
        }
        lab.changes(&start, &head, &["linear1.bias", "linear2.bias"]);
    });
}

fn loss(lab: &mut Lab, head: &mut ProjectionHead) -> Tensor<1> {
    let features = lab.constant([8, 6]);
    let pull = lab.constant([8, 5]);
    let embeddings = head.forward(features, NormMode::Batch);
    (embeddings.clone() * embeddings * pull).sum()
}

#[test]
fn lars_agrees() {
    let config = LarsConfig {
        trust: 0.05,
        weight_decay: 0.01,
        ..LarsConfig::default()
    };
    check(|| config.init());
}

#[test]
fn lars_that_excludes_biases_and_norms_agrees() {
    let config = LarsConfig {
        trust: 0.05,
        exclude: LarsExclusion::BiasAndNorm,
        ..LarsConfig::default()
    };
    check(|| config.init());
}

#[test]
fn sgd_agrees() {
    let config = SgdConfig {
        weight_decay: 0.01,
        momentum: 0.9,
        lr_in_buffer: false,
    };
    check(|| config.init());
}
