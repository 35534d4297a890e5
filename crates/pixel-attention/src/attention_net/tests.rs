use burn::tensor::{Device, Distribution, TensorData, Tolerance};
use golden::Arrays;
use pass_model::{
    backbone::{Block, ResNetConfig},
    checkpoint::{load_module, save_module},
    pretrain_net::{NetworkConfig, PretrainNetConfig},
    resize::upsample_bilinear,
};

use super::*;

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
        shallow: vec![3],
        ..Default::default()
    }
}

fn net(device: &Device) -> AttentionNet {
    AttentionNet::from_pretrained(config().init(1, device), 2)
}

fn crops(count: usize, size: usize, device: &Device) -> Tensor<4> {
    Tensor::random([count, 3, size, size], Distribution::Default, device)
}

#[track_caller]
fn assert_close<const D: usize>(actual: Tensor<D>, expected: impl Into<TensorData>, error: f64) {
    let tolerance = Tolerance::<f32>::rel_abs(error, error);
    actual
        .into_data()
        .assert_approx_eq(&expected.into(), tolerance);
}

/// The tiny network of the golden files, and their arrays.
fn published(device: &Device) -> (AttentionNet, Arrays) {
    let weights = golden::path("tiny_pixelattn.safetensors");
    let config = PretrainNetConfig {
        network: NetworkConfig {
            backbone: ResNetConfig {
                block: Block::Bottleneck,
                depths: [1; 4],
                width: 8,
                bottleneck_width: 8,
                ..ResNetConfig::resnet18()
            }
            .into(),
            hidden: 24,
            feature_dim: 16,
            prototypes: 12,
        },
        shallow: vec![],
        p2p: false,
        ..Default::default()
    };
    let mut net = AttentionNet::from_pretrained(config.init(0, device), 0);
    let imported = import_attention_net(&mut net, &weights).unwrap();
    assert!(
        imported
            .ignored
            .iter()
            .all(|key| key.ends_with("num_batches_tracked"))
    );
    (net, golden::open("pixel_attention.npz"))
}

#[test]
fn outputs_have_their_documented_shapes_and_ranges() {
    let device = Device::default();
    let mut net = net(&device);
    let (embeddings, scores) = net.forward_train(
        vec![crops(6, 32, &device), crops(9, 16, &device)],
        NormMode::Batch,
        &Group::default(),
    );
    assert_eq!((embeddings.dims(), scores.dims()), ([15, 5], [15, 4]));
    let lengths = embeddings.square().sum_dim(1);
    assert_close(lengths, [[1.0f32]; 15], 1e-5);

    let pictures = Tensor::random([2, 3, 33, 64], Distribution::Default, &device);
    assert_eq!(net.cluster_embedding(pictures.clone()).dims(), [2, 24]);
    let (features, attention) = net.label_features(pictures);
    assert_eq!(
        (features.dims(), attention.dims()),
        ([2, 24, 12, 16], [2, 1, 12, 16])
    );
    let attention: Vec<f32> = attention.try_into_vec_as().unwrap();
    assert!(attention.iter().all(|a| (0.0..=1.0).contains(a)));
}

#[test]
fn the_gradient_reaches_attention_and_prototypes_only() {
    let device = Device::default().autodiff();
    let mut net = net(&device);
    let crops = crops(6, 32, &device);
    let (_, scores) = net.forward_train(vec![crops], NormMode::Batch, &Group::default());
    let gradients = scores.square().sum().backward();
    assert!(net.attention.conv1.weight.val().grad(&gradients).is_some());
    assert!(
        net.attention
            .conv1
            .bias
            .as_ref()
            .unwrap()
            .val()
            .grad(&gradients)
            .is_some()
    );
    assert!(
        net.attention
            .bn2
            .gamma
            .as_ref()
            .unwrap()
            .val()
            .grad(&gradients)
            .is_some()
    );
    assert!(net.attention.tau.val().grad(&gradients).is_some());
    assert!(net.prototypes.weights().grad(&gradients).is_some());
    assert!(
        net.backbone
            .as_resnet()
            .unwrap()
            .conv1
            .weight
            .val()
            .grad(&gradients)
            .is_none()
    );
    assert!(
        net.projection
            .linear1
            .weight
            .val()
            .grad(&gradients)
            .is_none()
    );
    assert!(
        net.projection
            .bn1
            .gamma
            .as_ref()
            .unwrap()
            .val()
            .grad(&gradients)
            .is_none()
    );
}

#[test]
fn prototypes_can_be_frozen_too() {
    let device = Device::default().autodiff();
    let mut net = net(&device).with_frozen_prototypes();
    let (_, scores) = net.forward_train(
        vec![crops(6, 32, &device)],
        NormMode::Batch,
        &Group::default(),
    );
    let gradients = scores.square().sum().backward();
    assert!(net.prototypes.weights().grad(&gradients).is_none());
    assert!(net.attention.tau.val().grad(&gradients).is_some());
}

#[test]
fn frozen_norms_drift_only_with_batch_statistics() {
    let device = Device::default();
    for (mode, drifts) in [(NormMode::Batch, true), (NormMode::Moving, false)] {
        let mut net = net(&device);
        let mean = |net: &AttentionNet| {
            let first = &net.backbone.as_resnet().unwrap().bn1;
            let last = net.projection.bn2.as_ref().unwrap();
            (
                first.running_mean.val().into_data(),
                last.running_mean.val().into_data(),
            )
        };
        let before = mean(&net);
        let attention = net.attention.bn1.running_mean.val().into_data();
        net.forward_train(vec![crops(6, 32, &device)], mode, &Group::default());
        let after = mean(&net);
        assert_eq!((before.0 != after.0, before.1 != after.1), (drifts, drifts));
        assert_ne!(attention, net.attention.bn1.running_mean.val().into_data());
    }
}

#[test]
fn convolving_before_the_upsampling_changes_nothing() {
    let device = Device::default();
    let mut attention = net(&device).attention;
    let features = Tensor::random([2, 24, 3, 5], Distribution::Normal(0.0, 2.0), &device);
    for mode in [NormMode::Moving, NormMode::Batch] {
        let upsampled = upsample_bilinear(features.clone(), [12, 20]);
        let normalized = l2_normalize(upsampled.clone(), 1);
        let plain = attention.clone().forward(normalized.clone(), mode);
        let fast = attention.attend(features.clone(), mode);
        assert_close(fast.attention, plain.into_data(), 2e-5);
        assert_close(fast.features, upsampled.into_data(), 0.0);
        assert_close(fast.normalized, normalized.into_data(), 1e-6);
    }
}

#[test]
fn the_attention_depends_on_the_seed_and_not_on_the_device() {
    let plain = |seed, device: &Device| {
        let net = AttentionNet::from_pretrained(config().init(1, device), seed);
        net.attention.conv1.weight.val().into_data()
    };
    let device = Device::default();
    assert_eq!(plain(3, &device), plain(3, &device.clone().autodiff()));
    assert_ne!(plain(3, &device), plain(4, &device));
}

#[test]
fn a_saved_network_is_loaded_to_the_bit_and_stays_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attention.safetensors");
    let device = Device::default().autodiff();
    let mut saved = net(&device);
    saved.forward_train(
        vec![crops(6, 32, &device)],
        NormMode::Batch,
        &Group::default(),
    ); // moves the statistics
    save_module(&saved, &path).unwrap();
    let mut loaded = AttentionNet::from_pretrained(config().init(99, &device), 99);
    load_module(&mut loaded, &path).unwrap();
    let pictures = crops(2, 32, &device);
    let expected = saved.cluster_embedding(pictures.clone()).into_data();
    assert_eq!(loaded.cluster_embedding(pictures).into_data(), expected);
    assert!(
        !loaded
            .backbone
            .as_resnet()
            .unwrap()
            .conv1
            .weight
            .is_require_grad()
    );
    assert!(loaded.attention.tau.is_require_grad());
}

/// Oracle: the published module in float64; whole maps of the first of two pictures.
#[test]
fn attention_and_pooling_agree_with_the_published_code() {
    let device = Device::default();
    let (mut net, mut golden) = published(&device);
    let features = golden.tensor::<4>("feat", &device);
    let evaluated = net.attention.attend(features.clone(), NormMode::Moving);
    let first = |maps: &Tensor<4>| maps.clone().narrow(0, 0, 1);
    assert_close(
        first(&evaluated.features),
        golden.data("upsampled_x4"),
        1e-6,
    );
    assert_close(
        first(&evaluated.attention),
        golden.data("attention_eval"),
        1e-5,
    );
    assert_close(
        evaluated.attention.clone().mean_dim(1),
        golden.data("inference_mask"),
        1e-5,
    );
    let pooled = attended_clustering(evaluated.features, evaluated.attention.clone());
    assert_close(pooled, golden.data("inference_cluster"), 1e-5);
    let pooled = attended_training(evaluated.normalized, evaluated.attention);
    assert_close(pooled, golden.data("pooled_eval_mode"), 1e-5);
    let trained = net.attention.attend(features, NormMode::Batch);
    let pooled = attended_training(trained.normalized, trained.attention);
    assert_close(pooled, golden.data("pooled_train_mode"), 1e-5);
}

/// Oracle: gradients of the published module in float64; the largest are 4e-4 and 1.2e-3.
#[test]
fn gradients_agree_with_the_published_code() {
    let device = Device::default().autodiff();
    let (mut net, mut golden) = published(&device);
    let features = golden.tensor::<4>("feat", &device).require_grad();
    let attended = net.attention.attend(features.clone(), NormMode::Batch);
    let pooled = attended_training(attended.normalized, attended.attention);
    let gradients = pooled.square().sum().backward();
    let of_features = features.grad(&gradients).unwrap() * 1e3;
    let expected = golden.tensor::<4>("grad_feat_of_sum_sq", &device) * 1e3;
    assert_close(of_features, expected.into_data(), 1e-4);
    let of_tau = net.attention.tau.val().grad(&gradients).unwrap() * 1e3;
    let expected = golden.tensor::<4>("grad_threshold", &device) * 1e3;
    assert_close(of_tau, expected.into_data(), 1e-4);
}

/// Oracle: the published network in float64, two crops of three pictures in one group.
#[test]
fn the_training_pass_agrees_with_the_published_code() {
    let device = Device::default();
    let (mut net, mut golden) = published(&device);
    let crops = ["crop0", "crop1"].map(|key| golden.tensor::<4>(key, &device));
    let group = Tensor::cat(crops.into(), 0);
    let (embeddings, scores) = net.forward_train(vec![group], NormMode::Batch, &Group::default());
    // Batch norms over six rows amplify the rounding of float32.
    assert_close(embeddings, golden.data("model_train_embedding"), 1e-3);
    assert_close(scores, golden.data("model_train_output"), 1e-3);
}

/// One update by LARS of a network that started from pre-trained weights, fresh or read from disk.
fn after_one_update(pretrained: PretrainNet, device: &Device) -> [AttentionNet; 2] {
    let mut net = AttentionNet::from_pretrained(pretrained, 2);
    let before = net.clone();
    let (_, scores) = net.forward_train(
        vec![crops(6, 32, device)],
        NormMode::Batch,
        &Group::default(),
    );
    let gradients = scores.square().sum().backward();
    let gradients = burn::optim::GradientsParams::from_grads(gradients, &net);
    let mut lars = pass_model::optim::LarsConfig::default().init();
    [before, lars.step(1.0, net, gradients)]
}

#[test]
fn an_update_moves_attention_and_prototypes_also_of_a_network_read_from_disk() {
    let device = Device::default().autodiff();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let fresh = config().init(1, &device);
    save_module(&fresh.valid(), &path).unwrap();
    let mut read = config().init(3, &device);
    load_module(&mut read, &path).unwrap();
    for pretrained in [fresh, read] {
        let [before, after] = after_one_update(pretrained, &device);
        let moved = |a: Tensor<2>, b: Tensor<2>| a.into_data() != b.into_data();
        let flat = |net: &AttentionNet| net.attention.conv1.weight.val().flatten::<2>(1, 3);
        assert!(moved(flat(&before), flat(&after)), "the attention stays");
        assert!(
            moved(before.prototypes.weights(), after.prototypes.weights()),
            "the prototypes stay"
        );
    }
}

#[test]
fn a_shared_attention_is_the_same_for_every_channel_and_learns() {
    let device = Device::default().autodiff();
    let PretrainNet {
        backbone,
        projection,
        prototypes,
        ..
    } = config().init(1, &device);
    let mut net = AttentionNet::new(backbone, projection, prototypes, true, 2);
    assert_eq!(net.attention.tau.dims(), [1, 1, 1, 1]);
    let pictures = Tensor::<4>::random([2, 3, 32, 32], Distribution::Default, &device);
    let features = net.features(pictures.clone());
    let attention = net.attention.attend(features, NormMode::Moving).attention;
    let [_, channels, _, _] = attention.dims();
    assert!(channels > 1);
    let first = attention
        .clone()
        .slice([0..2, 0..1])
        .expand(attention.dims());
    assert_eq!(attention.into_data(), first.into_data());
    let (embeddings, _) = net.forward_train(vec![pictures], NormMode::Batch, &Group::default());
    let gradients = embeddings.sum().backward();
    let moves = net.attention.tau.val().grad(&gradients).unwrap();
    assert_eq!(moves.dims(), [1, 1, 1, 1]);
}
