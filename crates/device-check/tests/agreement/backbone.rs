//! The parts of backbones: a stem, max-pooling, and blocks of the families.

use burn::{
    nn::{PaddingConfig2d, conv::Conv2dConfig, pool::MaxPool2dConfig},
    tensor::activation::relu,
};
use device_check::{NETWORK, OPERATION, assert_agreement};
use pass_model::{
    backbone::{
        Backbone, BackboneSettings, Block, ConvNextConfig, EfficientNetConfig, ResidualBlockConfig,
        SwinConfig, VitConfig,
    },
    init::WeightStream,
    norm::{BatchNormConfig, NormMode},
};

use crate::{MAPS, MODES};

#[test]
fn max_pooling_agrees() {
    assert_agreement(OPERATION, |lab| {
        let maps = lab.input("maps", MAPS);
        let pool = MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init();
        lab.output("pooled", pool.forward(maps));
    });
}

/// 7×7 with stride 2, norm, ReLU.
#[test]
fn the_stem_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = Conv2dConfig::new([3, 6], [7, 7])
            .with_stride([2, 2])
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .with_bias(false);
        let conv = WeightStream::new(1).conv2d(&config, lab.device());
        let conv = lab.module(conv);
        let norm = BatchNormConfig::new(6).init(lab.device());
        let mut norm = lab.module(norm);
        let pictures = lab.input("pictures", [4, 3, 9, 13]);
        let maps = relu(norm.forward(conv.forward(pictures), NormMode::Batch));
        lab.output("maps", maps);
    });
}

fn check_block(config: ResidualBlockConfig, mode: NormMode) {
    assert_agreement(NETWORK, |lab| {
        let block = config.init(&mut WeightStream::new(2), lab.device());
        let mut block = lab.module(block);
        let maps = lab.input("maps", MAPS);
        let output = block.forward(maps, mode);
        lab.output("output", output);
        lab.buffers(&block);
    });
}

#[test]
fn a_basic_block_agrees() {
    let config = ResidualBlockConfig {
        block: Block::Basic,
        channels_in: 6,
        channels_inner: 6,
        channels_out: 6,
        stride: 1,
        groups: 1,
        dilation: 1,
        zero_init: false,
    };
    for mode in MODES {
        check_block(config, mode);
    }
}

#[test]
fn a_basic_block_that_halves_the_map_agrees() {
    let config = ResidualBlockConfig {
        block: Block::Basic,
        channels_in: 6,
        channels_inner: 5,
        channels_out: 5,
        stride: 2,
        groups: 1,
        dilation: 1,
        zero_init: false,
    };
    check_block(config, NormMode::Batch);
}

#[test]
fn a_bottleneck_block_that_halves_the_map_agrees() {
    let config = ResidualBlockConfig {
        block: Block::Bottleneck,
        channels_in: 6,
        channels_inner: 5,
        channels_out: 20,
        stride: 2,
        groups: 1,
        dilation: 1,
        zero_init: false,
    };
    check_block(config, NormMode::Batch);
}

#[test]
fn a_bottleneck_block_in_groups_agrees() {
    let config = ResidualBlockConfig {
        block: Block::Bottleneck,
        channels_in: 6,
        channels_inner: 4,
        channels_out: 6,
        stride: 1,
        groups: 2,
        dilation: 1,
        zero_init: false,
    };
    check_block(config, NormMode::Batch);
}

/// Each channel convolved on its own, SiLU, and channels that are weighted.
#[test]
fn a_block_of_an_efficientnet_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = EfficientNetConfig {
            channels: [2; 9],
            depths: [1; 7],
            ..EfficientNetConfig::b3()
        };
        let Backbone::EfficientNet(mut net) = config.build(&mut WeightStream::new(6), lab.device())
        else {
            unreachable!("its settings build it")
        };
        let mut block = lab.module(net.stages[6].remove(0));
        let maps = lab.input("maps", [4, 2, 5, 7]);
        let output = block.forward(maps, NormMode::Batch, false);
        lab.output("output", output);
        lab.buffers(&block);
    });
}

/// Attention among all tokens, and both branches scaled.
#[test]
fn a_block_of_a_vision_transformer_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = VitConfig {
            width: 8,
            heads: 2,
            depth: 1,
            layer_scale: true,
            ..VitConfig::vit_s16()
        };
        let mut net = config.init_from(&mut WeightStream::new(3), lab.device());
        let block = lab.module(net.blocks.remove(0));
        let tokens = lab.input("tokens", [2, 6, 8]);
        let output = block.forward(tokens);
        lab.output("output", output);
    });
}

/// Windows that moved, on a map that they do not fill.
#[test]
fn a_block_of_a_swin_transformer_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = SwinConfig {
            depths: [2, 1, 1, 1],
            width: 8,
            head_width: 4,
            window: 3,
        };
        let mut net = config.init_from(&mut WeightStream::new(4), lab.device());
        let block = lab.module(net.layers[0].blocks.remove(1));
        let places = lab.input("places", [2, 5, 7, 8]);
        let output = block.forward(places);
        lab.output("output", output);
    });
}

#[test]
fn a_block_of_a_convnext_agrees() {
    assert_agreement(NETWORK, |lab| {
        let config = ConvNextConfig {
            depths: [1; 4],
            width: 6,
            ..ConvNextConfig::convnext_t()
        };
        let mut net = config.init_from(&mut WeightStream::new(5), lab.device());
        let mut block = lab.module(net.stages[0].blocks.remove(0));
        let maps = lab.input("maps", MAPS);
        let output = block.forward(maps, NormMode::Batch, 0);
        lab.output("output", output);
    });
}
