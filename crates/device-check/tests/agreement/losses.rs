//! The losses, and their gradients with respect to scores, embeddings and logits.

use device_check::{Lab, OPERATION, assert_agreement};
use pass_model::group::Group;
use pass_model::{
    loss::{
        LossWeights, SwappedPrediction, SwappedPredictionConfig, d2s_loss, p2p_loss,
        pixel_cross_entropy, pixel_cross_entropy_ignoring, swapped_prediction, total_loss,
    },
    normalize::l2_normalize,
    queue::Queue,
    resize::upsample_bilinear,
};

use burn::tensor::Tensor;

const CROPS: usize = 3;
const BATCH: usize = 4;
const PROTOTYPES: usize = 7;
const FEATURES: usize = 5;

fn unit_rows(lab: &mut Lab, rows: usize) -> Tensor<2> {
    l2_normalize(lab.constant([rows, FEATURES]), 1)
}

/// The scores are leaves: what is compared is the gradient that enters the network.
fn swapped(lab: &mut Lab, queue: Option<&mut Queue>) -> SwappedPrediction {
    let embeddings = unit_rows(lab, CROPS * BATCH);
    let prototypes = unit_rows(lab, PROTOTYPES);
    let scores = lab.input("scores", [CROPS * BATCH, PROTOTYPES]);
    let cosines = scores * 0.3;
    let config = SwappedPredictionConfig::default();
    swapped_prediction(
        cosines,
        embeddings,
        prototypes,
        queue,
        &config,
        CROPS,
        &Group::default(),
    )
}

#[test]
fn swapped_prediction_agrees() {
    assert_agreement(OPERATION, |lab| {
        let SwappedPrediction {
            loss,
            assignments: [first, second],
        } = swapped(lab, None);
        lab.output("loss", loss);
        lab.value("assignments of crop 0", first);
        lab.value("assignments of crop 1", second);
    });
}

#[test]
fn swapped_prediction_with_an_active_queue_agrees() {
    assert_agreement(OPERATION, |lab| {
        let mut queue = Queue::new(BATCH, BATCH, FEATURES, lab.device());
        for crop in 0..2 {
            let kept = unit_rows(lab, BATCH);
            queue.push(crop, kept);
        }
        let SwappedPrediction {
            loss,
            assignments: [first, _],
        } = swapped(lab, Some(&mut queue));
        lab.output("loss", loss);
        lab.value("assignments of crop 0", first);
        lab.value("queue", queue.embeddings(0));
    });
}

#[test]
fn deep_to_shallow_supervision_agrees() {
    assert_agreement(OPERATION, |lab| {
        let SwappedPrediction { loss, assignments } = swapped(lab, None);
        let shallow = lab.input("shallow scores", [2 * BATCH, PROTOTYPES]);
        lab.output("image-level loss", loss);
        lab.output("loss", d2s_loss(&assignments, shallow * 0.3, 0.1));
    });
}

/// One picture's crops do not overlap: its maps are zero, and its gradients have to stay finite.
#[test]
fn pixel_to_pixel_alignment_agrees() {
    assert_agreement(OPERATION, |lab| {
        let overlap = lab.upload::<4>(burn::tensor::TensorData::new(
            vec![1.0f32, 0.0, 1.0, 0.0],
            [4, 1, 1, 1],
        ));
        let projected = lab.constant([4, FEATURES, 7, 7]) * overlap.clone();
        let predicted = lab.input("predicted", [4, FEATURES, 7, 7]) * overlap;
        lab.output("loss", p2p_loss(projected, predicted));
    });
}

#[test]
fn pixel_cross_entropy_agrees() {
    assert_agreement(OPERATION, |lab| {
        let logits = lab.input("logits", [2, 6, 5, 7]);
        let labels = lab.labels([2, 5, 7], 6);
        lab.output("loss", pixel_cross_entropy(logits.clone(), labels.clone()));
        lab.output(
            "loss without class 2",
            pixel_cross_entropy_ignoring(logits, labels, 2),
        );
    });
}

#[test]
fn pixel_cross_entropy_of_upsampled_logits_agrees() {
    assert_agreement(OPERATION, |lab| {
        let logits = lab.input("logits", [2, 6, 5, 7]);
        let labels = lab.labels([2, 20, 28], 6);
        lab.output(
            "loss",
            pixel_cross_entropy(upsample_bilinear(logits, [20, 28]), labels),
        );
    });
}

#[test]
fn the_total_loss_and_its_terms_agree() {
    assert_agreement(OPERATION, |lab| {
        let image = lab.input("image", [1]);
        let stages = [1, 3].map(|stage| (stage, lab.input("stage", [1])));
        let p2p = lab.input("p2p", [1]);
        let weights = LossWeights {
            p2p: 0.3,
            image: 0.5,
            ..LossWeights::default()
        };
        let terms = total_loss(image, stages.into(), Some(p2p), &weights);
        let values = terms.values();
        lab.host_values(
            "read back together",
            [values.total, values.image, values.d2s[&3]],
        );
        lab.output("total", terms.total);
    });
}
