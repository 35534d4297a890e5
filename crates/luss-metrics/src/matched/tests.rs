//! One pass against two, in any order and any shares.

use super::*;
use crate::{
    OutOfRange,
    testing::{Noise, blobs},
};

type Pair = (LabelMask, LabelMask);

const RULE: MatchingRule = MatchingRule::ImageLevel;

/// Predictions of `clusters` clusters and one stray id on request, with truths of 3 classes.
fn pairs(clusters: u16, stray: Option<u16>) -> Vec<Pair> {
    let mut noise = Noise::new(u64::from(clusters));
    let pair = |_| {
        let mut prediction = blobs(&mut noise, 23, 17, 4, clusters);
        let corner = prediction.labels_mut().iter_mut().take(7);
        corner.for_each(|id| *id = stray.unwrap_or(*id));
        (prediction, blobs(&mut noise, 23, 17, 6, 3))
    };
    (0..9).map(pair).collect()
}

fn evaluator_of(protocol: Protocol, clusters: u16, pairs: &[Pair]) -> MatchedEvaluator {
    let mut evaluator = MatchedEvaluator::new(protocol, RULE).with_clusters(clusters);
    let mut pairs = pairs.iter();
    pairs
        .try_for_each(|(prediction, truth)| evaluator.add(prediction, truth))
        .unwrap();
    evaluator
}

fn finished(evaluator: &MatchedEvaluator, pairs: &[Pair]) -> Matched {
    let masks = |index: usize| Ok::<_, Error>(pairs[index].clone());
    evaluator.finish_with(masks).unwrap()
}

/// With as many clusters as classes, with more, and with fewer.
#[test]
fn one_pass_scores_as_matching_first_and_evaluating_then() {
    for clusters in [3, 7, 2] {
        let pairs = pairs(clusters, None);
        let once = finished(&evaluator_of(Protocol::new(3), clusters, &pairs), &pairs);
        let mut overlap = Overlap::new(clusters, Protocol::new(3));
        let mut evaluator = Evaluator::new(Protocol::new(3));
        for (prediction, truth) in &pairs {
            overlap.add(prediction, truth).unwrap();
        }
        let matching = Matching::fit(RULE, &overlap).unwrap();
        for (prediction, truth) in &pairs {
            let prediction = matching.apply(prediction).unwrap();
            evaluator.add(&prediction, truth).unwrap();
        }
        let ties = Ties::of(RULE, &overlap).unwrap();
        let report = evaluator.report();
        let twice = Matched {
            report,
            matching,
            ties,
            evaluator,
        };
        assert_eq!(once, twice);
    }
}

#[test]
fn joined_clusters_need_their_masks_and_no_others_do() {
    let pairs = pairs(7, None);
    let evaluator = evaluator_of(Protocol::new(3), 7, &pairs);
    let Err(Error::MasksNeeded { pictures }) = evaluator.finish() else {
        panic!("seven clusters of three classes are joined");
    };
    let mut read = Vec::new();
    let masks = |index: usize| {
        read.push(index);
        Ok::<_, Error>(pairs[index].clone())
    };
    evaluator.finish_with(masks).unwrap();
    assert_eq!((read, pictures.is_empty()), (pictures, false));

    let evaluator = evaluator_of(Protocol::new(7), 7, &pairs);
    assert!(evaluator.finish().is_ok());
}

/// Shares of 1, 2 and 7 machines, dealt in turns, stored, and merged from each of them on, forwards and
/// backwards.
#[test]
fn merged_shares_equal_one_pass_bit_for_bit() {
    let pairs = pairs(3, None);
    let whole = evaluator_of(Protocol::new(3), 3, &pairs).finish().unwrap();
    for machines in [1, 2, 7] {
        let stored = |machine: usize| {
            let share: Vec<Pair> = pairs
                .iter()
                .skip(machine)
                .step_by(machines)
                .cloned()
                .collect();
            assert!(!share.is_empty());
            serde_json::to_string(&evaluator_of(Protocol::new(3), 3, &share)).unwrap()
        };
        let shares: Vec<String> = (0..machines).map(stored).collect();
        for first in 0..machines {
            let mut order: Vec<usize> = (0..machines).collect();
            order.rotate_left(first);
            let backwards = order.iter().rev().copied().collect();
            for order in [order, backwards] {
                let mut merged = evaluator_of(Protocol::new(3), 3, &[]);
                for machine in order {
                    let share = serde_json::from_str(&shares[machine]).unwrap();
                    merged.merge(&share).unwrap();
                }
                assert_eq!(merged.finish().unwrap(), whole);
            }
        }
    }
}

#[test]
fn evaluators_of_other_settings_are_not_merged() {
    let skip = Protocol {
        absent_class: crate::AbsentClass::Skip,
        ..Protocol::new(3)
    };
    let mut ours = evaluator_of(Protocol::new(3), 3, &pairs(3, None));
    let before = ours.clone();
    for theirs in [
        evaluator_of(skip, 3, &[]),
        evaluator_of(Protocol::new(3), 4, &[]),
        MatchedEvaluator::new(Protocol::new(3), MatchingRule::Iou),
    ] {
        assert!(matches!(
            ours.merge(&theirs),
            Err(Error::Unmergeable { .. })
        ));
    }
    assert_eq!(ours, before);
}

/// No cluster for the matching, and nobody's false positives for the scores and the ties.
#[test]
fn dropped_ids_score_as_another_id_out_of_range() {
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(3)
    };
    for clusters in [3, 2] {
        // With 2 clusters, the stray id 3 would be a class.
        let [near, far] = [clusters + 1, 900].map(|id| pairs(clusters, Some(id)));
        let [near, far] = [near, far].map(|pairs| {
            let evaluator = evaluator_of(protocol, clusters, &pairs);
            finished(&evaluator, &pairs)
        });
        assert_eq!(near, far);
        let (miou, range) = (near.report.miou.unwrap(), near.ties.miou.unwrap());
        assert!(range.lowest <= miou && miou <= range.highest);
        let dropped = 9 * 7;
        let truth: u64 = near.evaluator.areas().mask.truth().iter().sum();
        let prediction: u64 = near.evaluator.areas().mask.prediction().iter().sum();
        assert_eq!(truth - prediction, dropped);
    }
}

/// Of 60 000 classes, 55 535 is the id that lies as far below the largest one as 10 000 above 0.
#[test]
fn a_dropped_id_is_no_class_whatever_their_number() {
    let protocol = Protocol {
        ignore: u16::MAX,
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(60_000)
    };
    let mask = |id| LabelMask::new(1, 1, vec![id]).unwrap();
    let (prediction, truth) = (mask(10_000), mask(55_535));
    let counts = ImageCounts::new(&prediction, &truth, 2, &protocol).unwrap();
    let matching = Matching::identity(2);
    let counts = counts.matched(&matching, &protocol).unwrap().unwrap();
    let mut evaluator = Evaluator::new(protocol);
    evaluator.add_counts(&counts).unwrap();
    let mut from_masks = Evaluator::new(protocol);
    let named = matching.apply_under(&prediction, &protocol).unwrap();
    from_masks.add(&named, &truth).unwrap();
    assert_eq!(evaluator, from_masks);
    assert_eq!(evaluator.areas().mask.intersection()[55_535], 0);
    assert_eq!(evaluator.areas().mask.truth()[55_535], 1);
}

/// Clusters 1 and 2 are one class, 2 under the ignored pixel alone.
#[test]
fn a_label_that_becomes_another_is_no_longer_hidden() {
    let mask = |labels: &[u16]| LabelMask::new(3, 1, labels.to_vec()).unwrap();
    let (prediction, truth) = (mask(&[1, 1, 2]), mask(&[1, 0, crate::IGNORE]));
    let protocol = Protocol::new(1);
    let counts = ImageCounts::new(&prediction, &truth, 2, &protocol).unwrap();
    let matching = Matching::from_json(r#"{"1": 1, "2": 1}"#).unwrap();
    let named = counts.matched_with_seams(&matching, &protocol).unwrap();
    let stored = serde_json::to_string(&named).unwrap();
    assert_eq!(serde_json::from_str::<ImageCounts>(&stored).unwrap(), named);
}

#[test]
fn an_evaluation_of_other_pictures_than_those_asked_for_is_refused() {
    let pairs = pairs(7, None);
    let evaluator = evaluator_of(Protocol::new(3), 7, &pairs);
    let result = evaluator.finish_by(|_, _| Ok::<_, Error>(Evaluator::new(Protocol::new(3))));
    let Err(Error::PicturesScored { scored: 0, joined }) = result else {
        panic!("seven clusters of three classes are joined");
    };
    assert!(joined > 0);
}

#[test]
fn a_damaged_state_is_refused() {
    let evaluator = evaluator_of(Protocol::new(3), 3, &pairs(3, None));
    let stored = serde_json::to_string(&evaluator).unwrap();
    for (from, to) in [
        ("\"clusters\":3", "\"clusters\":0"),
        ("\"clusters\":3", "\"clusters\":1"),
        ("\"classes\":3", "\"classes\":2"),
        ("\"classes\":3", "\"classes\":2000"),
    ] {
        let damaged = stored.replacen(from, to, 1);
        assert_ne!(damaged, stored);
        assert!(serde_json::from_str::<MatchedEvaluator>(&damaged).is_err());
    }
}

#[test]
fn nothing_cannot_be_finished() {
    let evaluator = MatchedEvaluator::new(Protocol::new(3), RULE);
    assert_eq!(evaluator.finish().unwrap_err(), Error::NoImages);
}
