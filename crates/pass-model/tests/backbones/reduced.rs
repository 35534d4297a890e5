//! Small networks of each family: what their settings tell is what they do, and every weight trains.

use burn::{
    module::Module,
    optim::GradientsParams,
    store::ModuleSnapshot,
    tensor::{Device, Distribution, Tensor},
};
use pass_model::{
    backbone::{
        BackboneConfig, DenseNetConfig, EfficientNetConfig, InceptionConfig, Res2NetConfig,
        ResNetConfig,
    },
    norm::NormMode,
};

fn reduced() -> Vec<BackboneConfig> {
    let resnext = ResNetConfig {
        width: 8,
        depths: [1, 1, 2, 2],
        groups: 2,
        bottleneck_width: 32,
        dilated_stages: 1,
        ..ResNetConfig::resnet50()
    };
    let res2net = |deep_stem| Res2NetConfig {
        width: 4,
        depths: [1, 2, 1, 1],
        part_width: 32,
        deep_stem,
    };
    let efficientnet = |lite, tensorflow| EfficientNetConfig {
        channels: [4, 4, 4, 6, 6, 8, 8, 8, 12],
        depths: [1, 1, 2, 1, 1, 1, 1],
        lite,
        tensorflow,
    };
    let densenet = DenseNetConfig {
        width: 4,
        depths: [1, 2, 1, 1],
        growth: 2,
    };
    vec![
        resnext.into(),
        res2net(false).into(),
        res2net(true).into(),
        efficientnet(false, false).into(),
        efficientnet(true, true).into(),
        densenet.into(),
        InceptionConfig { width: 2 }.into(),
    ]
}

#[test]
fn settings_tell_what_a_network_does() {
    let device = Device::default();
    for config in reduced() {
        let mut net = config.init(1, &device);
        let pictures = Tensor::random([1, 3, 96, 128], Distribution::Default, &device);
        let maps = net.forward(pictures.clone(), NormMode::Moving);
        let what = config.describe();
        for stage in 1..=4 {
            let [_, channels, height, width] = maps.stage(stage).dims();
            let stride = maps.strides[stage - 1];
            assert_eq!(channels, config.channels(stage), "{what}");
            assert!(height <= 96 / stride && width <= 128 / stride, "{what}");
        }
        assert_eq!(maps.strides[3], config.stride(), "{what}");
        assert_eq!(net.channels(), config.channels(4), "{what}");
        assert_eq!(net.pooled(pictures).dims(), [1, net.channels()], "{what}");
        let count = net.num_params() as f64;
        assert!(
            config.weights() <= count,
            "{what}: {} of {count}",
            config.weights()
        );
        assert!(
            config.weights() > 0.4 * count,
            "{what}: {} of {count}",
            config.weights()
        );
    }
}

#[test]
fn every_weight_trains() {
    let device = Device::default().autodiff();
    for config in reduced() {
        let mut net = config.init(1, &device);
        let pictures = Tensor::random([2, 3, 160, 160], Distribution::Default, &device);
        let last = net.forward(pictures, NormMode::Batch).into_last();
        let gradients = last.powi_scalar(2).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &net);
        let all = net.collect(None, None, true);
        let trained = all.iter().filter(|it| !it.name.contains("running_"));
        assert_eq!(gradients.len(), trained.count(), "{}", config.describe());
    }
}
