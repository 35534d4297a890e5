//! What the settings of a network tell about its maps, against the maps.

use burn::tensor::{Device, Tensor};
use pass_model::{
    backbone::BackboneConfig,
    norm::NormMode,
    precision::{Precision, widened},
};

use crate::oracle::picture;

/// A reduced network of each family.
pub(crate) const REDUCED: [&str; 12] = [
    r#"{"block": "basic", "depths": [1, 1, 1, 1], "width": 4}"#,
    r#"{"block": "bottleneck", "depths": [1, 2, 1, 1], "width": 8, "dilated_stages": 2}"#,
    r#"{"family": "res2net", "depths": [1, 1, 1, 1], "width": 8}"#,
    r#"{"family": "densenet", "depths": [1, 1, 1, 1], "width": 8, "growth": 4}"#,
    r#"{"family": "inception", "width": 2}"#,
    r#"{"family": "efficientnet", "channels": [4, 4, 4, 4, 4, 4, 4, 4, 8], "depths": [1, 1, 1, 1, 1, 1, 1]}"#,
    r#"{"family": "efficientnet", "channels": [4, 4, 4, 4, 4, 4, 4, 4, 8], "depths": [1, 1, 1, 1, 1, 1, 1], "lite": true, "tensorflow": true}"#,
    r#"{"family": "convnext", "depths": [1, 1, 1, 1], "width": 4}"#,
    r#"{"family": "convnext", "depths": [1, 1, 1, 1], "width": 4, "receptive_fields": true}"#,
    r#"{"family": "swin", "depths": [1, 2, 1, 1], "width": 8, "head_width": 4, "window": 3}"#,
    r#"{"family": "vit", "width": 8, "heads": 2, "depth": 4, "grid": 3}"#,
    r#"{"family": "vit", "width": 8, "heads": 2, "depth": 4, "patch": 14, "remainder": "pad", "registers": 2, "layer_scale": true}"#,
];

#[test]
fn settings_tell_the_size_and_the_channels_of_the_maps() {
    for text in REDUCED {
        let config: BackboneConfig = serde_json::from_str(text).unwrap();
        let mut network = config.init(1, &Device::default());
        let least = config.least_side();
        let multiple = config.preprocessing().multiple;
        for [height, width] in [[least, least + 33], [97, 129], [112, 98]] {
            let [height, width] = [height, width].map(|side| side.next_multiple_of(multiple));
            let features = network.forward(picture(height, width), NormMode::Moving);
            assert_eq!(features.maps.len(), 4, "{text}");
            for stage in 1..=4 {
                let [_, channels, _, _] = features.stage(stage).dims();
                assert_eq!(channels, config.channels(stage), "stage {stage} of {text}");
            }
            let [_, _, rows, columns] = features.into_last().dims();
            let expected = [height, width].map(|side| config.map_side(side));
            assert_eq!([rows, columns], expected, "{height} x {width} of {text}");
        }
        let pooled = network.pooled(picture(128.max(least), 128.max(least)));
        assert_eq!(pooled.dims(), [1, network.channels()], "{text}");
    }
}

#[test]
fn settings_are_read_back_from_their_text() {
    for text in REDUCED {
        let config: BackboneConfig = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<BackboneConfig>(&again).unwrap(),
            config
        );
    }
}

/// bfloat16 has 8 bits of precision.
#[test]
fn pictures_of_16_bits_have_nearly_the_maps_of_32() {
    for text in REDUCED {
        let config: BackboneConfig = serde_json::from_str(text).unwrap();
        let mut network = config.init(1, &Device::default());
        let half = Precision::Bfloat16.cast(picture(112, 140));
        let half = widened(network.forward(half, NormMode::Moving).into_last());
        let exact = network
            .forward(picture(112, 140), NormMode::Moving)
            .into_last();
        let largest = exact.clone().abs().max().into_scalar::<f32>();
        let off = (half - exact).abs().max().into_scalar::<f32>();
        assert!(off < 0.05 * largest, "{off} of {largest}, {text}");
    }
}

/// So an extraction may go on with another batch, and in shards, to the same bits.
#[test]
fn a_picture_has_the_same_maps_alone_and_among_others() {
    for text in REDUCED {
        let config: BackboneConfig = serde_json::from_str(text).unwrap();
        let mut network = config.init(1, &Device::default());
        let alone = picture(98, 112);
        let others = Tensor::cat(
            vec![alone.clone() * -0.5, alone.clone(), alone.clone() * 2.0],
            0,
        );
        let mut last = |pictures| network.forward(pictures, NormMode::Moving).into_last();
        let among = last(others).narrow(0, 1, 1).into_data();
        assert_eq!(last(alone).into_data(), among, "{text}");
    }
}
