//! Laws of the evaluator, and the published example.

use super::*;
use crate::{
    AbsentClass, BoundaryIgnore, IGNORE, LabelMask, Score,
    testing::{Noise, blobs},
};

type Pair = (LabelMask, LabelMask);

fn mask(width: usize, labels: &[u16]) -> LabelMask {
    LabelMask::new(width, labels.len() / width, labels.to_vec()).unwrap()
}

/// Pictures of uneven sizes with some ignored pixels, predicted half right.
fn pairs(seed: u64, count: usize, classes: u16) -> Vec<Pair> {
    let mut noise = Noise::new(seed);
    let pair = |noise: &mut Noise| {
        let (width, height) = (9 + noise.below(30), 7 + noise.below(20));
        let mut truth = blobs(noise, width, height, 7, classes);
        let mut prediction = blobs(noise, width, height, 5, classes);
        let copied = width * height / 2;
        prediction.labels_mut()[..copied].copy_from_slice(&truth.labels()[..copied]);
        truth.labels_mut()[copied - 4..copied + 9].fill(IGNORE);
        prediction.labels_mut()[copied - 4..copied].fill(0);
        (prediction, truth)
    };
    (0..count).map(|_| pair(&mut noise)).collect()
}

fn evaluator_of(protocol: Protocol, pairs: &[Pair]) -> Evaluator {
    let mut evaluator = Evaluator::new(protocol);
    pairs
        .iter()
        .for_each(|(prediction, truth)| evaluator.add(prediction, truth).unwrap());
    evaluator
}

#[track_caller]
fn assert_close(actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() < 1e-6,
        "{actual} is not {expected}"
    );
}

#[test]
fn the_published_example_of_two_classes() {
    let i = IGNORE;
    let truth = mask(4, &[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 0, 0, i, 2, 0, 0]);
    let prediction = mask(4, &[0, 1, 1, 1, 0, 0, 1, 0, 2, 2, 2, 0, 2, 1, 0, 0]);
    let evaluator = evaluator_of(Protocol::new(2), &[(prediction, truth)]);
    let areas = &evaluator.areas().mask;
    assert_eq!(areas.prediction(), [7, 5, 3]);
    assert_eq!(areas.truth(), [8, 4, 3]);
    assert_eq!(areas.intersection(), [6, 3, 2]);

    let report = evaluator.report();
    assert_close(report.per_class[0].iou.unwrap(), 0.666667);
    assert_close(report.miou.unwrap(), 0.555556);
    assert_close(report.miou_without_other.unwrap(), 0.5);
    assert_close(report.f_beta.unwrap(), 0.772277);
    assert_eq!(report.image_accuracy, Some(1.0));
    let classes = report.sizes.map(|size| size.classes);
    assert_eq!(classes, [0, 1, 1, 0]); // class 2 is 20 %, class 1 is 27 %
}

#[test]
fn a_perfect_prediction_scores_one_everywhere() {
    let mut pairs = pairs(1, 6, 4);
    for (prediction, truth) in &mut pairs {
        truth
            .labels_mut()
            .iter_mut()
            .for_each(|label| *label %= IGNORE);
        *prediction = truth.clone();
    }
    let report = evaluator_of(Protocol::new(4), &pairs).report();
    assert_eq!(
        (report.miou, report.boundary_miou, report.f_beta),
        (Some(1.0), Some(1.0), Some(1.0))
    );
    let sizes = report
        .sizes
        .iter()
        .flat_map(|size| [size.miou, size.boundary_miou]);
    assert!(sizes.flatten().all(|miou| miou == 1.0));
}

#[test]
fn merging_equals_one_pass_bit_for_bit() {
    let pairs = pairs(2, 11, 6);
    let whole = evaluator_of(Protocol::new(6), &pairs);
    for cut in [0, 4, 11] {
        // The later part first: the order does not matter either.
        let mut merged = evaluator_of(Protocol::new(6), &pairs[cut..]);
        merged
            .merge(&evaluator_of(Protocol::new(6), &pairs[..cut]))
            .unwrap();
        assert_eq!(merged, whole);
        assert_eq!(merged.report(), whole.report());
    }
}

#[test]
fn evaluators_of_two_protocols_are_not_merged() {
    let mut ours = evaluator_of(Protocol::new(6), &pairs(3, 2, 6));
    let before = ours.clone();
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..Protocol::new(6)
    };
    assert!(matches!(
        ours.merge(&Evaluator::new(skip)),
        Err(Error::Unmergeable { .. })
    ));
    assert_eq!(ours, before);
}

#[test]
fn a_stored_evaluator_goes_on_where_it_stopped() {
    let pairs = pairs(4, 5, 6);
    let early = evaluator_of(Protocol::new(6), &pairs[..3]);
    let stored = serde_json::to_string(&early).unwrap();
    let mut restored: Evaluator = serde_json::from_str(&stored).unwrap();
    pairs[3..]
        .iter()
        .for_each(|(prediction, truth)| restored.add(prediction, truth).unwrap());
    assert_eq!(restored, evaluator_of(Protocol::new(6), &pairs));
}

#[test]
fn a_damaged_state_is_refused() {
    let stored = serde_json::to_string(&Evaluator::new(Protocol::new(6))).unwrap();
    let damaged = stored.replacen("0,0,0,0,0,0,0]", "0,0,0,0,0,0]", 1);
    let error = serde_json::from_str::<Evaluator>(&damaged).unwrap_err();
    assert!(
        error.to_string().contains("6 entries where 7 belong"),
        "{error}"
    );
}

#[test]
fn a_report_survives_json() {
    let report = evaluator_of(Protocol::new(6), &pairs(5, 3, 5)).report();
    let text = serde_json::to_string(&report).unwrap();
    let restored: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(restored, report);
    assert_eq!(restored.per_class[6].iou, None);
}

#[test]
fn a_refused_picture_leaves_the_evaluator_unchanged() {
    let mut evaluator = evaluator_of(Protocol::new(6), &pairs(6, 2, 6));
    let before = evaluator.clone();
    let good = mask(3, &[0, 1, 2, 3, 4, IGNORE]);
    let stray = mask(3, &[0, 1, 2, 3, 7, 0]);
    let mut refused =
        |prediction: &LabelMask, truth: &LabelMask| evaluator.add(prediction, truth).unwrap_err();
    let [id, ignore] = [&stray, &good].map(|prediction| refused(prediction, &good));
    let truth = refused(&mask(3, &[0; 6]), &stray);
    let size = refused(&mask(2, &[0; 6]), &good);
    assert_eq!(
        id,
        Error::PredictionOutOfRange {
            id: 7,
            x: 1,
            y: 1,
            classes: 6
        }
    );
    assert_eq!(
        ignore,
        Error::PredictionOutOfRange {
            id: IGNORE,
            x: 2,
            y: 1,
            classes: 6
        }
    );
    assert_eq!(
        truth,
        Error::TruthOutOfRange {
            id: 7,
            x: 1,
            y: 1,
            classes: 6,
            ignore: IGNORE
        }
    );
    assert_eq!(
        size,
        Error::SizeMismatch {
            prediction: (2, 3),
            truth: (3, 2)
        }
    );
    assert_eq!(evaluator, before);
}

#[test]
fn absent_classes_count_zero_unless_skipped() {
    let pairs = pairs(7, 3, 3);
    let zero = evaluator_of(Protocol::new(50), &pairs).report();
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..Protocol::new(50)
    };
    let skip = evaluator_of(skip, &pairs).report();
    assert_close(zero.miou.unwrap() * 51.0, skip.miou.unwrap() * 4.0);
    assert_eq!(zero.per_class, skip.per_class);
}

#[test]
fn looking_through_ignored_pixels_makes_a_perfect_prediction_perfect() {
    let mut pairs = pairs(8, 6, 4);
    let mut noise = Noise::new(9);
    for (prediction, truth) in &mut pairs {
        // Right wherever it counts, anything where the truth is ignored.
        for (p, t) in prediction.labels_mut().iter_mut().zip(truth.labels()) {
            *p = if *t == IGNORE {
                noise.below(5) as u16
            } else {
                *t
            };
        }
    }
    let edge = Protocol::new(4);
    let transparent = Protocol {
        boundary_ignore: BoundaryIgnore::Transparent,
        ..edge
    };
    assert!(evaluator_of(edge, &pairs).report().boundary_miou < Some(1.0));
    assert_eq!(
        evaluator_of(transparent, &pairs).report().boundary_miou,
        Some(1.0)
    );
}

#[test]
fn without_pictures_there_is_no_score() {
    let report = Evaluator::new(Protocol::new(3)).report();
    let scores = Score::ALL.map(|score| score.of(&report));
    assert_eq!((report.images, scores), (0, [None; Score::ALL.len()]));
}

/// An ignored rim around an object hides all of its boundary.
#[test]
fn a_class_whose_boundary_is_all_hidden_does_not_spoil_a_perfect_prediction() {
    let within = |from: usize, to: usize, pixel: usize| {
        let inside = |at: usize| (from..to).contains(&at);
        inside(pixel % 100) && inside(pixel / 100)
    };
    let labels = |rim: u16| {
        let label = |pixel| match pixel {
            _ if within(30, 70, pixel) => 1,
            _ if within(20, 80, pixel) => rim,
            _ => 0,
        };
        mask(100, &(0..100 * 100).map(label).collect::<Vec<u16>>())
    };
    let protocol = Protocol {
        ignore: 255,
        boundary_ignore: BoundaryIgnore::Transparent,
        ..Protocol::new(1)
    };
    let report = evaluator_of(protocol, &[(labels(0), labels(255))]).report();
    assert_eq!(report.boundary_miou, Some(1.0));
    assert_eq!(report.per_class[1].boundary_iou, None);
    assert_eq!(report.miou, Some(1.0));
}

/// Both masks hold "other" alone.
#[test]
fn scores_of_classes_that_occur_nowhere_are_none() {
    let other = mask(5, &[0; 25]);
    for absent_class in [AbsentClass::Zero, AbsentClass::Skip] {
        let protocol = Protocol {
            absent_class,
            ..Protocol::new(1)
        };
        let report = evaluator_of(protocol, &[(other.clone(), other.clone())]).report();
        assert_eq!(report.miou_without_other, None);
        assert_eq!((report.image_accuracy, report.f_beta), (None, None));
        let miou = [0.5, 1.0][absent_class as usize];
        assert_eq!(report.miou, Some(miou));
    }
}

#[test]
fn a_picture_without_foreground_is_left_out_of_means_where_absent_classes_are() {
    let mut pairs = pairs(10, 3, 3);
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..Protocol::new(3)
    };
    let scores = |protocol: Protocol, pairs: &[Pair]| {
        let report = evaluator_of(protocol, pairs).report();
        [report.image_accuracy, report.f_beta].map(Option::unwrap)
    };
    let before = scores(skip, &pairs);
    pairs.push((mask(3, &[0; 6]), mask(3, &[0; 6])));
    assert_eq!(scores(skip, &pairs), before);
    let with_zero = scores(Protocol::new(3), &pairs);
    let expected = before.map(|score| score * 3.0 / 4.0);
    with_zero
        .iter()
        .zip(expected)
        .for_each(|(a, b)| assert_close(*a, b));
}

/// Truth 2 1 0 0 and prediction 2 1 0 1, where 0 is ignored.
#[test]
fn other_is_left_out_of_means_where_it_is_ignored() {
    let mut truth = mask(4, &[2, 1, 0, 0]);
    truth.ignore_ids(&[0], 255);
    let protocol = Protocol {
        ignore: 255,
        score_other: false,
        ..Protocol::new(2)
    };
    let report = evaluator_of(protocol, &[(mask(4, &[2, 1, 0, 1]), truth)]).report();
    let means = [report.miou, report.miou_without_other, report.boundary_miou];
    assert_eq!(means, [Some(1.0); 3]);
    let means = [report.aacc, report.macc, report.fwiou];
    assert_eq!(means, [Some(1.0); 3]);
}

/// One of four pixels of "other" is predicted as class 1, which has 2 of 6 pixels.
#[test]
fn the_scores_by_size_run_over_the_labels_of_the_protocol() {
    let (prediction, truth) = (mask(6, &[1, 1, 1, 0, 0, 0]), mask(6, &[1, 1, 0, 0, 0, 0]));
    let pairs = [(prediction, truth)];
    let miou_of = |score_other| {
        let protocol = Protocol {
            score_other,
            ..Protocol::new(1)
        };
        let report = evaluator_of(protocol, &pairs).report();
        report.sizes[SizeGroup::MediumLarge as usize].miou
    };
    assert_eq!(miou_of(false), Some(2.0 / 3.0));
    assert_eq!(miou_of(true), Some((3.0 / 4.0 + 2.0 / 3.0) / 2.0));
}

#[test]
#[should_panic(expected = "1000 classes are not possible")]
fn an_impossible_protocol_is_a_bug_of_the_caller() {
    Evaluator::new(Protocol::new(1000));
}
