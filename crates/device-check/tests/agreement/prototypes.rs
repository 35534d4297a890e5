//! Prototypes, the balanced assignment to them, and the queue.

use burn::module::Module;
use device_check::{Lab, OPERATION, assert_agreement};
use pass_model::group::Group;
use pass_model::{
    init::WeightStream,
    normalize::l2_normalize,
    prototypes::{Prototypes, PrototypesConfig},
    queue::Queue,
    sinkhorn::{SinkhornConfig, sinkhorn_knopp},
};

fn prototypes(lab: &Lab) -> Prototypes {
    let config = PrototypesConfig {
        prototypes: 7,
        embedding: 5,
    };
    let mut prototypes = config.init(&mut WeightStream::new(7), lab.device());
    prototypes.normalize();
    prototypes
}

#[test]
fn scores_of_normalised_prototypes_agree() {
    assert_agreement(OPERATION, |lab| {
        let prototypes = prototypes(lab);
        let prototypes = lab.module(prototypes);
        let embeddings = lab.input("embeddings", [8, 5]);
        lab.value("prototypes", prototypes.weights());
        lab.output("scores", prototypes.forward(l2_normalize(embeddings, 1)));
    });
}

#[test]
fn scores_of_constant_prototypes_agree() {
    assert_agreement(OPERATION, |lab| {
        let prototypes = prototypes(lab).no_grad();
        let embeddings = lab.input("embeddings", [8, 5]);
        lab.output("scores", prototypes.forward_detached(embeddings));
    });
}

/// The exponents reach from -40 to 0.
#[test]
fn balanced_assignments_agree() {
    assert_agreement(OPERATION, |lab| {
        let scores = lab.numbers().uniform([8, 7], [-1.0, 1.0]);
        let scores = lab.upload(scores);
        lab.value(
            "assignments",
            sinkhorn_knopp(scores, &SinkhornConfig::new(), &Group::default()),
        );
    });
}

#[test]
fn the_queue_agrees_before_and_after_it_is_full_and_when_restored() {
    assert_agreement(OPERATION, |lab| {
        let mut queue = Queue::new(9, 4, 5, lab.device());
        for name in ["half full", "full", "turned over"] {
            let batch = lab.constant([4, 5]);
            queue.push(0, batch.clone());
            queue.push(1, batch * 2.0);
            lab.value(name, queue.embeddings(1));
        }
        let mut restored = Queue::new(8, 4, 5, lab.device());
        restored
            .restore(&queue.to_tensors())
            .expect("what the queue itself saved");
        lab.value("restored", restored.active(0).expect("full"));
    });
}
