//! DenseNets.

use fast_ops::relu;
use pass_model::{
    backbone::{Backbone, BackboneConfig, DenseNetConfig},
    import::keys_of_backbone,
    norm::NormMode,
};

use crate::oracle::{check_keys, filled, filled_from, picture, row, spelling};

const MODE: NormMode = NormMode::Moving;

#[test]
fn keys_are_the_published_ones() {
    check_keys(
        "densenet161",
        "torchvision",
        (806, "88b3528ecf13ea1c", 28_900_936),
    );
}

#[test]
fn densenet161_agrees() {
    let mut net = filled(DenseNetConfig::densenet161(), "torchvision");
    let last = net.forward(picture(64, 80), MODE).into_last();
    row(
        "relu",
        &[2208, 2, 2],
        [0.09496961555, 0.09496961555, 0.6959217404, 0.0],
    )
    .check(last);
    let Backbone::DenseNet(mut net) = net else {
        panic!("a DenseNet");
    };
    let x = net.stem(picture(64, 80), MODE);
    row(
        "pool0",
        &[96, 16, 20],
        [0.9094259398, 0.9094259398, 0.1517611396, 1.534128978],
    )
    .check(x.clone());
    let x = net.blocks[0].forward(x, MODE);
    let x = net.transitions[0].forward(x, MODE);
    row(
        "transition1",
        &[192, 8, 10],
        [0.02148023891, 0.6173772363, 0.6822461614, 0.1094424005],
    )
    .check(x.clone());
    let x = net.blocks[1].forward(x, MODE);
    let x = net.transitions[1].forward(x, MODE);
    row(
        "transition2",
        &[384, 4, 5],
        [0.00692360753, 0.3337247637, 0.1752751923, 0.2394545558],
    )
    .check(x.clone());
    let x = net.blocks[2].forward(x, MODE);
    let x = net.transitions[2].forward(x, MODE);
    row(
        "transition3",
        &[1056, 2, 2],
        [-0.009181040102, 0.1826047534, 0.3595717591, -0.04170620153],
    )
    .check(x.clone());
    let x = net.blocks[3].forward(x, MODE);
    row(
        "denseblock4",
        &[2208, 2, 2],
        [-0.004373447384, 0.1406912477, 0.3595717591, -0.09270393297],
    )
    .check(x.clone());
    let x = relu(net.norm5.forward(x, MODE));
    row(
        "relu",
        &[2208, 2, 2],
        [0.09496961555, 0.09496961555, 0.6959217404, 0.0],
    )
    .check(x);
}

/// The published file has dots where torchvision's program has none.
#[test]
fn keys_with_dots_are_read_and_recognised() {
    let config = BackboneConfig::from(DenseNetConfig {
        depths: [1, 2, 1, 1],
        width: 4,
        growth: 3,
    });
    let net = config.init(0, &Default::default());
    let keys = keys_of_backbone(&net, spelling(&net, "torchvision's files"));
    assert!(keys.contains_key("features.denseblock2.denselayer2.conv.1.weight"));
    filled_from(config, keys, |_| false);
    let published = BackboneConfig::named("densenet161")
        .unwrap()
        .init(0, &Default::default());
    let keys = keys_of_backbone(&published, spelling(&published, "torchvision's files"));
    assert_eq!(BackboneConfig::recognise(&keys), ["densenet161"]);
}
