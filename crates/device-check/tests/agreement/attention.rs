//! Pixel attention, the pooling behind it, and the labels.

use device_check::{NETWORK, OPERATION, assert_agreement};
use ndarray::Array2;
use pass_model::init::WeightStream;
use pixel_attention::{
    attention::{Attended, PixelAttentionConfig},
    label_generation::generate,
    pooling::{attended_clustering, attended_training},
};

use crate::{MAPS, MODES};

#[test]
fn pixel_attention_agrees() {
    for mode in MODES {
        assert_agreement(NETWORK, |lab| {
            let config = PixelAttentionConfig::new(6);
            let attention = config.init(&mut WeightStream::new(8), lab.device());
            let mut attention = lab.module(attention);
            let maps = lab.input("maps", MAPS);
            let map = attention.forward(maps, mode);
            lab.output("attention", map);
            lab.buffers(&attention);
        });
    }
}

/// The form that training takes: upsampled features, and the embedding pooled from them.
#[test]
fn attended_embeddings_agree() {
    assert_agreement(NETWORK, |lab| {
        let config = PixelAttentionConfig::new(6);
        let attention = config.init(&mut WeightStream::new(8), lab.device());
        let mut attention = lab.module(attention);
        let features = lab.input("features", MAPS);
        let Attended {
            features,
            normalized,
            attention,
        } = attention.attend(features, pass_model::norm::NormMode::Batch);
        lab.output("training", attended_training(normalized, attention.clone()));
        lab.output("clustering", attended_clustering(features, attention));
    });
}

/// Arg-max on the device; a tie or a rounding could name another centroid, but not here.
#[test]
fn pseudo_labels_agree() {
    assert_agreement(OPERATION, |lab| {
        let features = lab.constant(MAPS);
        let attention = lab.numbers().uniform([4, 1, 5, 7], [0.0, 1.0]);
        let attention = lab.upload(attention);
        let centroids = lab
            .numbers()
            .normal([9, 6])
            .try_to_vec::<f32>()
            .expect("float32");
        let centroids = Array2::from_shape_vec((9, 6), centroids).expect("9 x 6");
        let labels = generate(features, attention, centroids.view()).expect("finite numbers");
        for picture in labels {
            lab.host_values("ids", picture.ids.iter().map(|&id| f64::from(id)));
            lab.host_values("attention", picture.attention.iter().map(|&a| f64::from(a)));
        }
    });
}
