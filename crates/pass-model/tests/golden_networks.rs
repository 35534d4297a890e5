//! The networks compute what the reference code computes in float64 (values, gradients and moving
//! statistics of one training pass).
//!
//! Tolerances are those of float32 against float64, as parts of each tensor's largest value.

mod common;
#[path = "common/steps.rs"]
mod steps;

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::Module,
    store::{BurnToPyTorchAdapter, ModuleSnapshot, ModuleStore, SafetensorsStore, bridge::to_data},
    tensor::{Device, Int, Tensor, TensorData},
};
use common::{Arrays, assert_close, golden, relative_difference};
use ndarray::{IxDyn, OwnedRepr};
use pass_model::{
    backbone::{Block, ResNetConfig, ResidualBlock, ResidualBlockConfig},
    import::{import_pretrain_net, import_segmentation_net, pass_key},
    init::WeightStream,
    loss::{PretrainLossConfig, pixel_cross_entropy, pretrain_loss},
    norm::NormMode,
    pretrain_net::{PretrainNet, PretrainNetConfig, PretrainOutput},
    resize::upsample_bilinear,
    segmentation_net::SegmentationNetConfig,
};
use steps::{SHALLOW, gradients_of};

fn tiny_backbone() -> ResNetConfig {
    ResNetConfig {
        block: Block::Bottleneck,
        depths: [1, 1, 1, 1],
        width: 8,
        bottleneck_width: 8,
        max_pool: true,
    }
}

fn tiny_pretrain_net(device: &Device) -> Option<PretrainNet> {
    let config = PretrainNetConfig {
        backbone: tiny_backbone(),
        hidden: 24,
        feature_dim: 16,
        prototypes: 12,
        shallow: SHALLOW.to_vec(),
        ..Default::default()
    };
    let mut net = config.init(0, device);
    import_pretrain_net(&mut net, &golden("tiny_pretrain_before.safetensors")?).unwrap();
    Some(net)
}

fn tiny_forward(net: &mut PretrainNet, io: &mut Arrays, device: &Device) -> PretrainOutput {
    let mut crop = |index: usize| io.get::<4>(&format!("crop{index}"), device);
    let groups = vec![
        Tensor::cat(vec![crop(0), crop(1)], 0),
        Tensor::cat(vec![crop(2), crop(3)], 0),
    ];
    let mut grid = |name: &str| io.get::<4>(name, device).reshape([3, 49, 2]);
    let grids = Tensor::cat(vec![grid("gridq"), grid("gridk")], 0);
    net.forward(groups, Some(grids), NormMode::Batch)
}

/// Tensors of a module by the reference's key.
fn by_key(module: &impl Module) -> BTreeMap<String, TensorData> {
    steps::by_key(module, |path| pass_key(path, &SHALLOW))
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
    let Some(mut net) = tiny_pretrain_net(&device) else {
        return;
    };
    let io = &mut Arrays::open(&golden("tiny_pretrain_io.npz").unwrap());
    let output = tiny_forward(&mut net, io, &device);

    assert_close(
        output.embeddings,
        io.get::<2>("embedding", &device).narrow(0, 0, 12),
        1e-4,
    );
    // Rows of the shallow stages follow, in the order of the list.
    let shallow: Vec<_> = output
        .shallow_scores
        .into_iter()
        .map(|(_, scores)| scores)
        .collect();
    let scores = Tensor::cat([vec![output.scores], shallow].concat(), 0);
    assert_close(scores, io.get("output", &device), 1e-4);
    assert_close(output.projected.unwrap(), io.get("z_pixel", &device), 1e-4);
    assert_close(output.predicted.unwrap(), io.get("p_pixel", &device), 1e-4);
}

#[test]
fn moving_statistics_after_a_training_pass_agree() {
    let device = Device::default();
    let Some(mut net) = tiny_pretrain_net(&device) else {
        return;
    };
    let io = &mut Arrays::open(&golden("tiny_pretrain_io.npz").unwrap());
    tiny_forward(&mut net, io, &device);
    let after = stored(&golden("tiny_pretrain_after_bn_stats.safetensors").unwrap());
    assert_all_close(&by_key(&net), &after, 1e-4);
}

#[test]
fn pre_training_losses_and_all_gradients_agree() {
    let device = Device::default().autodiff();
    let Some(mut net) = tiny_pretrain_net(&device) else {
        return;
    };
    let io = &mut Arrays::open(&golden("tiny_pretrain_io.npz").unwrap());
    let output = tiny_forward(&mut net, io, &device);

    let prototypes = net.prototypes.weights();
    let config = PretrainLossConfig::default();
    let terms = pretrain_loss(output, prototypes, None, &config, 4).terms;

    let (_, expected_d2s) = io.read("loss_d2s");
    let d2s = terms
        .d2s
        .iter()
        .map(|(_, loss)| loss.clone().into_scalar::<f32>());
    for (actual, expected) in [
        (
            terms.image.clone().into_scalar::<f32>(),
            io.scalar("loss_i2i"),
        ),
        (
            terms.p2p.clone().unwrap().into_scalar(),
            io.scalar("loss_p2p"),
        ),
        (terms.total.clone().into_scalar(), io.scalar("loss_total")),
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
    let expected = stored(&golden("tiny_pretrain_grads.safetensors").unwrap());
    assert_all_close(&by_key(&gradients), &expected, 1e-3);
}

#[test]
fn fine_tuning_logits_loss_and_gradients_agree() {
    let device = Device::default().autodiff();
    let config = SegmentationNetConfig {
        backbone: tiny_backbone(),
        classes: 9,
    };
    let mut net = config.init(0, &device);
    let Some(weights) = golden("tiny_finetune.safetensors") else {
        return;
    };
    import_segmentation_net(&mut net, &weights).unwrap();
    let path = golden("finetune_io.npz").unwrap();
    let io = &mut Arrays::open(&path);
    let logits = net.forward(io.get("image", &device), NormMode::Batch);
    assert_close(logits.clone(), io.get("output", &device), 1e-4);

    let logits = upsample_bilinear(logits, [32, 32]);
    assert_close(logits.clone(), io.get("output_up", &device), 1e-4);

    let loss = pixel_cross_entropy(logits, labels(&path, &device));
    let expected = io.scalar("loss");
    let actual = loss.clone().into_scalar::<f32>();
    assert!(
        (actual - expected).abs() < 1e-4 * expected,
        "{actual} {expected}"
    );
    let gradients = gradients_of(&net, &loss.backward());
    let plain = Device::default();
    let head = io.get("grad_last_layer_w", &plain);
    assert_close(gradients.head.weight.val(), head, 1e-3);
    assert_close(
        gradients.backbone.conv1.weight.val(),
        io.get("grad_conv1", &plain),
        2e-3,
    );
}

fn labels(path: &Path, device: &Device) -> Tensor<3, Int> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = ndarray_npy::NpzReader::new(file).unwrap();
    let labels = reader
        .by_name::<OwnedRepr<i64>, IxDyn>("labels_half")
        .unwrap();
    let data = TensorData::new(labels.iter().copied().collect(), labels.shape().to_vec());
    Tensor::from_data(data, device)
}

#[test]
fn basic_blocks_with_and_without_downsampling_agree() {
    let device = Device::default();
    let Some(path) = golden("basic_block.npz") else {
        return;
    };
    let io = &mut Arrays::open(&path);
    for (prefix, channels_out, stride, output) in
        [("b1", 6, 1, "y_identity"), ("b2", 10, 2, "y_downsample")]
    {
        let config = ResidualBlockConfig {
            block: Block::Basic,
            channels_in: 6,
            channels_inner: 6,
            channels_out,
            stride,
        };
        let mut block = block_of(config, io, prefix, &device);
        let statistics = block.bn1.clone();
        let x = io.get("x", &device);
        assert_close(
            block.forward(x, NormMode::Batch),
            io.get(output, &device),
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
    let names = block.collect(None, Some(Box::new(BurnToPyTorchAdapter)), false);
    let own = block.collect(None, None, false);
    let key = |name: &str| format!("{prefix}.{}", pass_model::import::backbone_key(name));
    let tensors = names.iter().zip(own).map(|(torch, own)| {
        let (shape, values) = io.read(&key(&torch.name));
        burn::store::bridge::from_data(TensorData::new(values, shape), own.name, None)
    });
    let tensors = tensors.collect();
    let mut loaded = block;
    assert!(loaded.apply(tensors, None, None, false).is_success());
    loaded
}
