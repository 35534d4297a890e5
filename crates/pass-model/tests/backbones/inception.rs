//! Inception v3.

use burn::tensor::Tensor;
use fast_ops::relu;
use pass_model::{
    backbone::{Backbone, BackboneConfig, ConvNorm, InceptionConfig, transform_input},
    import::keys_of_backbone,
    norm::NormMode,
};

use crate::oracle::{check_keys, digest, filled, filled_from, picture, row, spelling};

const MODE: NormMode = NormMode::Moving;

#[test]
fn keys_are_the_published_ones() {
    check_keys(
        "inception_v3",
        "timm",
        (472, "9cf52a69193cb27e", 23_869_000),
    );
}

/// torchvision's files hold an auxiliary classifier too, which is passed over.
#[test]
fn the_auxiliary_classifier_is_passed_over() {
    let config = BackboneConfig::from(InceptionConfig::v3());
    let net = config.init(0, &Default::default());
    let mut keys = keys_of_backbone(&net, spelling(&net, "torchvision"));
    let shapes: [(&str, &[usize]); 2] = [
        ("AuxLogits.conv0", &[128, 768, 1, 1]),
        ("AuxLogits.conv1", &[768, 128, 5, 5]),
    ];
    for (layer, shape) in shapes {
        keys.insert(format!("{layer}.conv.weight"), shape.to_vec());
        for last in ["weight", "bias", "running_mean", "running_var"] {
            keys.insert(format!("{layer}.bn.{last}"), vec![shape[0]]);
        }
    }
    keys.insert("AuxLogits.fc.weight".into(), vec![1000, 768]);
    keys.insert("AuxLogits.fc.bias".into(), vec![1000]);
    let published = (484, "01237fea1e0f3cc2".to_owned(), 27_197_488);
    assert_eq!(digest(&keys), published);
    assert_eq!(BackboneConfig::recognise(&keys), ["inception_v3"]);
    filled_from(config, keys, |_| false);
}

fn run(layers: &mut [ConvNorm], x: Tensor<4>) -> Tensor<4> {
    let layers = layers.iter_mut();
    layers.fold(x, |x, layer| relu(layer.forward(x, MODE)))
}

#[test]
fn inception_v3_agrees() {
    let mut net = filled(InceptionConfig::v3(), "torchvision");
    let maps = net.forward(picture(96, 112), MODE);
    let Backbone::Inception(mut net) = net else {
        panic!("an Inception");
    };
    let x = transform_input(picture(96, 112));
    row(
        "transform_input",
        &[3, 96, 112],
        [-0.1039068028, 0.2443924798, -0.3272386186, 0.1153758233],
    )
    .check(x.clone());
    let x = run(&mut net.stem[..3], x);
    row(
        "Conv2d_2b_3x3",
        &[64, 45, 53],
        [0.1393852014, 0.1393852014, 0.0, 0.1969621207],
    )
    .check(x);
    row(
        "Conv2d_4a_3x3",
        &[192, 20, 24],
        [0.1605946666, 0.1605946666, 0.7294595241, 0.01899559096],
    )
    .check(maps.stage(1));
    row(
        "Mixed_5d",
        &[288, 9, 11],
        [0.1106990648, 0.1106990648, 0.0704916053, 0.0],
    )
    .check(maps.stage(2));
    let x = net.blocks[3].forward(maps.stage(2), MODE);
    row(
        "Mixed_6a",
        &[768, 4, 5],
        [0.1102029539, 0.1102029539, 0.0, 0.0],
    )
    .check(x);
    row(
        "Mixed_6e",
        &[768, 4, 5],
        [0.08781972101, 0.08781972101, 0.0, 0.02454530216],
    )
    .check(maps.stage(3));
    let x = net.blocks[8].forward(maps.stage(3), MODE);
    row(
        "Mixed_7a",
        &[1280, 1, 2],
        [0.118273501, 0.118273501, 0.0, 0.01759941476],
    )
    .check(x);
    row(
        "Mixed_7c",
        &[2048, 1, 2],
        [0.08066736928, 0.08066736928, 0.0, 0.1953894541],
    )
    .check(maps.stage(4));
}
