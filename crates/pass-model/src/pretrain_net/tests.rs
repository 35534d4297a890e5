use super::*;
use crate::backbone::ResNetConfig;
use burn::tensor::{Distribution, Tolerance};

fn config() -> PretrainNetConfig {
    PretrainNetConfig {
        network: NetworkConfig {
            backbone: ResNetConfig {
                width: 3,
                ..ResNetConfig::small()
            }
            .into(),
            hidden: 7,
            feature_dim: 5,
            prototypes: 4,
        },
        shallow: vec![3, 1],
        ..Default::default()
    }
}

fn crops(count: usize, size: usize, device: &Device) -> Tensor<4> {
    Tensor::random([count, 3, size, size], Distribution::Default, device)
}

#[track_caller]
fn assert_equal<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
    a.into_data()
        .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn every_output_has_its_documented_shape() {
    let device = Device::default();
    let mut net = config().init(0, &device);
    let groups = vec![crops(2 * 3, 32, &device), crops(4 * 3, 16, &device)];
    let grids = Tensor::zeros([6, 49, 2], &device);
    let output = net.forward(groups, Some(grids), NormMode::Batch);
    assert_eq!(output.embeddings.dims(), [18, 5]);
    assert_eq!(output.scores.dims(), [18, 4]);
    assert_eq!(output.projected.unwrap().dims(), [6, 5, 7, 7]);
    assert_eq!(output.predicted.unwrap().dims(), [6, 5, 7, 7]);
    let shallow: Vec<_> = output
        .shallow_scores
        .iter()
        .map(|(s, t)| (*s, t.dims()))
        .collect();
    assert_eq!(shallow, [(3, [6, 4]), (1, [6, 4])]);
}

#[test]
fn optional_heads_are_absent_when_not_asked_for() {
    let device = Device::default();
    let config = PretrainNetConfig {
        shallow: vec![],
        p2p: false,
        ..config()
    };
    let mut net = config.init(0, &device);
    let grids = Tensor::zeros([6, 49, 2], &device);
    let output = net.forward(vec![crops(6, 32, &device)], Some(grids), NormMode::Batch);
    assert!(net.pixel.is_none() && net.shallow.is_empty());
    assert!(output.projected.is_none() && output.predicted.is_none());
    assert!(output.shallow_scores.is_empty());
}

#[test]
fn with_moving_statistics_a_group_does_not_feel_the_others() {
    let device = Device::default();
    let mut net = config().init(0, &device);
    let (global, local) = (crops(6, 32, &device), crops(3, 16, &device));
    let both = net.forward(vec![global.clone(), local.clone()], None, NormMode::Moving);
    let first = net.forward(vec![global], None, NormMode::Moving).embeddings;
    let second = net.forward(vec![local], None, NormMode::Moving).embeddings;
    assert_equal(both.embeddings, Tensor::cat(vec![first, second], 0));
}

#[test]
fn each_group_moves_the_statistics_by_itself() {
    let device = Device::default();
    let mut net = config().init(0, &device);
    let mut twin = net.clone();
    let (global, local) = (crops(6, 32, &device), crops(3, 16, &device));
    net.forward(vec![global.clone(), local.clone()], None, NormMode::Batch);
    twin.backbone.forward(global, NormMode::Batch);
    twin.backbone.forward(local, NormMode::Batch);
    assert_equal(
        net.backbone.as_resnet().unwrap().bn1.running_var.val(),
        twin.backbone.as_resnet().unwrap().bn1.running_var.val(),
    );
}

#[test]
fn deep_to_shallow_supervision_does_not_move_the_prototypes() {
    let device = Device::default().autodiff();
    let mut net = config().init(0, &device);
    let output = net.forward(vec![crops(6, 32, &device)], None, NormMode::Batch);
    let (_, scores) = &output.shallow_scores[0];
    let gradients = scores.clone().powi_scalar(2).sum().backward();
    assert!(net.prototypes.weight.val().grad(&gradients).is_none());
    assert!(
        net.shallow[0]
            .projection
            .linear1
            .weight
            .val()
            .grad(&gradients)
            .is_some()
    );
    assert!(
        net.backbone
            .as_resnet()
            .unwrap()
            .conv1
            .weight
            .val()
            .grad(&gradients)
            .is_some()
    );
}

#[test]
fn a_stage_named_twice_or_stage_four_is_refused() {
    for shallow in [vec![3, 3], vec![4], vec![0]] {
        assert!(
            PretrainNetConfig {
                shallow,
                ..config()
            }
            .check()
            .is_err()
        );
    }
}

#[test]
fn pictures_that_p2p_leaves_out_are_seen_by_neither_view() {
    let device = Device::default();
    let (mut net, crops) = (config().init(0, &device), crops(6, 32, &device));
    let grids = Tensor::random([6, 49, 2], Distribution::Uniform(-1.0, 1.0), &device);
    let mut twin = net.clone();
    let all = net.forward(vec![crops.clone()], Some(grids.clone()), NormMode::Batch);
    let points = OverlapPoints {
        grids,
        pictures: Some(vec![0, 2]),
    };
    let some = twin.forward_at(vec![crops], Some(points), NormMode::Batch);
    let rows = [0, 2, 3, 5].map(|row| all.projected.clone().unwrap().narrow(0, row, 1));
    assert_equal(some.projected.unwrap(), Tensor::cat(rows.into(), 0));
    assert_eq!(some.predicted.unwrap().dims(), [4, 5, 7, 7]);
}

#[test]
fn with_every_picture_left_out_there_is_nothing_to_compare() {
    let device = Device::default();
    let mut net = config().init(0, &device);
    let points = OverlapPoints {
        grids: Tensor::zeros([6, 49, 2], &device),
        pictures: Some(vec![]),
    };
    let output = net.forward_at(vec![crops(6, 32, &device)], Some(points), NormMode::Batch);
    assert!(output.projected.is_none() && output.predicted.is_none());
}

#[test]
fn without_a_projector_p2p_compares_the_features_themselves() {
    let device = Device::default();
    let config = PretrainNetConfig {
        p2p_projection: false,
        ..config()
    };
    let mut net = config.init(0, &device);
    let grids = Tensor::random([6, 49, 2], Distribution::Uniform(-1.0, 1.0), &device);
    let output = net.forward(
        vec![crops(6, 32, &device)],
        Some(grids.clone()),
        NormMode::Batch,
    );
    let expected = sample_overlap(output.features, grids);
    assert_equal(output.projected.unwrap(), expected);
    assert_eq!(output.predicted.unwrap().dims(), [6, 24, 7, 7]);
}
