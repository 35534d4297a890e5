//! Whole steps of the pixel attention agree with PyTorch in float64.
//!
//! The oracle and the fixtures are those of pass-model's `tests/training_steps.rs`.

#[path = "../../pass-model/tests/common/steps.rs"]
mod steps;

use burn::{optim::GradientsParams, tensor::Device};
use pass_model::backbone::resnet_key;
use pass_model::group::Group;
use pass_model::{
    import::import_pretrain_net,
    loss::{SwappedPredictionConfig, swapped_prediction},
    norm::NormMode,
    optim::{CosineSchedule, LarsConfig},
};
use pixel_attention::attention_net::{AttentionNet, published_key};
use steps::{Fixture, ITERATIONS, UPDATES, by_key};

/// Also: the backbone stays to the bit while its moving statistics drift, and prototypes learn.
#[test]
fn three_steps_of_the_attention_agree() {
    let device = Device::default().autodiff();
    let (inputs, fixture) = (
        Fixture::open("step_inputs.npz"),
        Fixture::open("attention_step.npz"),
    );
    let mut pretrained = steps::config().init(0, &device);
    import_pretrain_net(&mut pretrained, &steps::place("step_weights.safetensors")).unwrap();
    let mut net = AttentionNet::from_pretrained(pretrained, 0);
    let published_key = |parameter: &str| published_key(resnet_key, parameter);
    net = steps::filled(net, published_key, &inputs.group("attention"));
    let start = by_key(&net, published_key);
    let schedule = CosineSchedule::new(6.0, 6e-4, ITERATIONS);
    let mut queue = inputs.queue(&device);
    let mut optimizer = LarsConfig::default().init();
    for update in 0..UPDATES {
        net.prototypes.normalize();
        let groups = vec![inputs.pictures("global", &device)];
        let (embeddings, scores) = net.forward_train(groups, NormMode::Batch, &Group::default());
        let prototypes = net.prototypes.weights();
        let config = SwappedPredictionConfig::default();
        let loss = swapped_prediction(
            scores,
            embeddings,
            prototypes,
            Some(&mut queue),
            &config,
            2,
            &Group::default(),
        )
        .loss;
        let value = f64::from(loss.clone().into_scalar::<f32>());
        fixture.check_losses(update, &[("swapped", value)]);
        let gradients = loss.backward();
        if update == 0 {
            let gradients = steps::gradients_of(&net, &gradients);
            steps::check_gradients(&by_key(&gradients, published_key), &fixture.group("grad"));
        }
        let gradients = GradientsParams::from_grads(gradients, &net);
        net = optimizer.step(schedule.rate(update), net, gradients);
    }
    let after = by_key(&net, published_key);
    assert_eq!(
        start["layer4.1.conv2.weight"],
        after["layer4.1.conv2.weight"]
    );
    assert_ne!(
        start["layer4.1.bn2.running_var"],
        after["layer4.1.bn2.running_var"]
    );
    steps::check_moved(&fixture, 6.0, &start, &after);
}
