//! The networks compute what the reference code computes in float64 (values, gradients and moving
//! statistics of one training pass).
//!
//! Tolerances are those of float32 against float64, as parts of each tensor's largest value.

mod common;
#[path = "common/steps.rs"]
mod steps;

use pass_model::group::Group;
use std::{collections::BTreeMap, path::Path};

use burn::{
    module::Module,
    store::{BurnToPyTorchAdapter, ModuleSnapshot, ModuleStore, SafetensorsStore, bridge::to_data},
    tensor::{Device, Tensor, TensorData},
};
use common::{assert_close, relative_difference};
use golden::Arrays;
use pass_model::{
    backbone::{
        BackboneConfig, Block, ResNetConfig, ResidualBlock, ResidualBlockConfig, resnet_key,
    },
    import::{import_pretrain_net, import_segmentation_net, pass_key},
    init::WeightStream,
    loss::{PretrainLossConfig, pixel_cross_entropy, pretrain_loss},
    norm::NormMode,
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig, PretrainOutput},
    resize::upsample_bilinear,
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use steps::{SHALLOW, gradients_of};

fn tiny_backbone() -> BackboneConfig {
    let config = ResNetConfig {
        block: Block::Bottleneck,
        depths: [1, 1, 1, 1],
        width: 8,
        bottleneck_width: 8,
        ..ResNetConfig::resnet50()
    };
    config.into()
}

fn tiny_pretrain_net(device: &Device) -> PretrainNet {
    let config = PretrainNetConfig {
        network: NetworkConfig {
            backbone: tiny_backbone(),
            hidden: 24,
            feature_dim: 16,
            prototypes: 12,
        },
        shallow: SHALLOW.to_vec(),
        ..Default::default()
    };
    let mut net = config.init(0, device);
    import_pretrain_net(&mut net, &golden::path("tiny_pretrain_before.safetensors")).unwrap();
    net
}

fn tiny_forward(net: &mut PretrainNet, io: &mut Arrays, device: &Device) -> PretrainOutput {
    let mut crop = |index: usize| io.tensor::<4>(&format!("crop{index}"), device);
    let groups = vec![
        Tensor::cat(vec![crop(0), crop(1)], 0),
        Tensor::cat(vec![crop(2), crop(3)], 0),
    ];
    let mut grid = |name: &str| io.tensor::<4>(name, device).reshape([3, 49, 2]);
    let grids = Tensor::cat(vec![grid("gridq"), grid("gridk")], 0);
    net.forward(groups, Some(grids), NormMode::Batch)
}

/// Tensors of a module by the reference's key.
fn by_key(module: &impl Module) -> BTreeMap<String, TensorData> {
    steps::by_key(module, |path| pass_key(resnet_key, path, &SHALLOW))
}

fn stored(path: &Path) -> BTreeMap<String, TensorData> {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().unwrap().iter();
    tensors
        .filter(|(key, _)| !key.ends_with("num_batches_tracked"))
        .map(|(key, tensor)| (key.clone(), to_data(tensor).unwrap()))
        .collect()
}

/// Compares tensors of the same keys; zero means below `1e-6` of the largest of all.
#[track_caller]
fn assert_all_close(
    actual: &BTreeMap<String, TensorData>,
    expected: &BTreeMap<String, TensorData>,
    tolerance: f32,
) {
    assert!(!expected.is_empty());
    let largest = |data: &TensorData| data.iter::<f32>().fold(0.0f32, |a, b| a.max(b.abs()));
    let floor = 1e-6 * expected.values().map(largest).fold(0.0, f32::max);
    let mut wrong = Vec::new();
    for (key, expected) in expected {
        let actual = &actual[key];
        let difference = relative_difference(actual.clone(), expected.clone());
        let vanishing = largest(expected) < floor && largest(actual) < floor;
        if !(difference < tolerance || vanishing) {
            wrong.push((key, difference, largest(expected)));
        }
    }
    assert!(
        wrong.is_empty(),
        "relative differences and largest values: {wrong:#?}"
    );
}

#[test]
fn pre_training_outputs_agree() {
    let device = Device::default();
    let mut net = tiny_pretrain_net(&device);
    let io = &mut golden::open("tiny_pretrain_io.npz");
    let output = tiny_forward(&mut net, io, &device);

    assert_close(
        output.embeddings,
        io.tensor::<2>("embedding", &device).narrow(0, 0, 12),
        1e-4,
    );
    // Rows of the shallow stages follow, in the order of the list.
    let shallow: Vec<_> = output
        .shallow_scores
        .into_iter()
        .map(|(_, scores)| scores)
        .collect();
    let scores = Tensor::cat([vec![output.scores], shallow].concat(), 0);
    assert_close(scores, io.tensor("output", &device), 1e-4);
    assert_close(
        output.projected.unwrap(),
        io.tensor("z_pixel", &device),
        1e-4,
    );
    assert_close(
        output.predicted.unwrap(),
        io.tensor("p_pixel", &device),
        1e-4,
    );
}

#[test]
fn moving_statistics_after_a_training_pass_agree() {
    let device = Device::default();
    let mut net = tiny_pretrain_net(&device);
    let io = &mut golden::open("tiny_pretrain_io.npz");
    tiny_forward(&mut net, io, &device);
    let after = stored(&golden::path("tiny_pretrain_after_bn_stats.safetensors"));
    assert_all_close(&by_key(&net), &after, 1e-4);
}

#[test]
fn pre_training_losses_and_all_gradients_agree() {
    let device = Device::default().autodiff();
    let mut net = tiny_pretrain_net(&device);
    let io = &mut golden::open("tiny_pretrain_io.npz");
    let output = tiny_forward(&mut net, io, &device);

    let prototypes = net.prototypes.weights();
    let config = PretrainLossConfig::default();
    let terms = pretrain_loss(output, prototypes, None, &config, 4, &Group::default()).terms;

    let expected_d2s = io.numbers("loss_d2s").mapv(|loss| loss as f32);
    let d2s = terms
        .d2s
        .iter()
        .map(|(_, loss)| loss.clone().into_scalar::<f32>());
    for (actual, expected) in [
        (
            terms.image.clone().into_scalar::<f32>(),
            io.number("loss_i2i") as f32,
        ),
        (
            terms.p2p.clone().unwrap().into_scalar(),
            io.number("loss_p2p") as f32,
        ),
        (
            terms.total.clone().into_scalar(),
            io.number("loss_total") as f32,
        ),
    ]
    .into_iter()
    .chain(d2s.zip(expected_d2s))
    {
        assert!(
            (actual - expected).abs() < 1e-4 * expected.abs().max(0.1),
            "{actual} {expected}"
        );
    }

    let gradients = gradients_of(&net, &terms.total.backward());
    let expected = stored(&golden::path("tiny_pretrain_grads.safetensors"));
    assert_all_close(&by_key(&gradients), &expected, 1e-3);
}

#[test]
fn fine_tuning_logits_loss_and_gradients_agree() {
    let device = Device::default().autodiff();
    let config = SegmentationNetConfig {
        backbone: tiny_backbone(),
        classes: 9,
        head: HeadDraw::He,
    };
    let mut net = config.init(0, &device);
    import_segmentation_net(&mut net, &golden::path("tiny_finetune.safetensors")).unwrap();
    let io = &mut golden::open("finetune_io.npz");
    let logits = net.forward(io.tensor("image", &device), NormMode::Batch);
    assert_close(logits.clone(), io.tensor("output", &device), 1e-4);

    let logits = upsample_bilinear(logits, [32, 32]);
    assert_close(logits.clone(), io.tensor("output_up", &device), 1e-4);

    let loss = pixel_cross_entropy(logits, io.integers("labels_half", &device));
    let expected = io.number("loss") as f32;
    let actual = loss.clone().into_scalar::<f32>();
    assert!(
        (actual - expected).abs() < 1e-4 * expected,
        "{actual} {expected}"
    );
    let gradients = gradients_of(&net, &loss.backward());
    let plain = Device::default();
    let head = io.tensor("grad_last_layer_w", &plain);
    assert_close(gradients.head.weight.val(), head, 1e-3);
    assert_close(
        gradients.backbone.as_resnet().unwrap().conv1.weight.val(),
        io.tensor("grad_conv1", &plain),
        2e-3,
    );
}

#[test]
fn basic_blocks_with_and_without_downsampling_agree() {
    let device = Device::default();
    let io = &mut golden::open("basic_block.npz");
    for (prefix, channels_out, stride, output) in
        [("b1", 6, 1, "y_identity"), ("b2", 10, 2, "y_downsample")]
    {
        let config = ResidualBlockConfig {
            block: Block::Basic,
            channels_in: 6,
            channels_inner: 6,
            channels_out,
            stride,
            groups: 1,
            dilation: 1,
            zero_init: false,
        };
        let mut block = block_of(config, io, prefix, &device);
        let statistics = block.bn1.clone();
        let x = io.tensor("x", &device);
        assert_close(
            block.forward(x, NormMode::Batch),
            io.tensor(output, &device),
            1e-4,
        );

        // The file holds the state after one pass over fresh norms.
        let after = statistics.running_var.val();
        assert_close(
            block.bn1.running_var.val() - 0.9 * (after.clone() - 1.0),
            after,
            1e-4,
        );
    }
}

fn block_of(
    config: ResidualBlockConfig,
    io: &mut Arrays,
    prefix: &str,
    device: &Device,
) -> ResidualBlock {
    let block = config.init(&mut WeightStream::new(0), device);
    let names = block.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let own = block.collect(None, None, true);
    let key = |name: &str| format!("{prefix}.{}", resnet_key(name));
    let tensors = names.iter().zip(own).map(|(torch, own)| {
        burn::store::bridge::from_data(io.data(&key(&torch.name)), own.name, None)
    });
    let tensors = tensors.collect();
    let mut loaded = block;
    assert!(loaded.apply(tensors, None, None, true).is_success());
    loaded
}
