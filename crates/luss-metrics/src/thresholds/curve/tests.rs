//! The curve against the published way: threshold, match and evaluate, 81 times.

use super::*;
use crate::{
    AbsentClass, Evaluator, IGNORE, LabelMask, OutOfRange,
    testing::{Noise, blobs},
};

type Picture = (LabelMask, Vec<f32>, LabelMask);

fn pictures(seed: u64, count: usize) -> Vec<Picture> {
    let mut noise = Noise::new(seed);
    let picture = |noise: &mut Noise| {
        let ids = blobs(noise, 17, 11, 4, 7);
        let mut truth = blobs(noise, 17, 11, 6, 5);
        truth.labels_mut()[..9].fill(IGNORE);
        // Some values meet a threshold exactly.
        let value = |n: &mut Noise| {
            if n.below(3) == 0 {
                threshold(n.below(81))
            } else {
                n.unit()
            }
        };
        let attention = (0..17 * 11).map(|_| value(noise)).collect();
        (ids, attention, truth)
    };
    (0..count).map(|_| picture(&mut noise)).collect()
}

fn curve_of(protocol: Protocol, pictures: &[Picture]) -> ThresholdCurve {
    let mut curve = ThresholdCurve::new(protocol);
    pictures
        .iter()
        .for_each(|(ids, attention, truth)| curve.add(ids, attention, truth).unwrap());
    curve
}

/// The published way: threshold, match, evaluate.
fn point_by_evaluation(protocol: Protocol, pictures: &[Picture], t: f32) -> ThresholdPoint {
    let cut = |ids: &LabelMask, attention: &[f32]| {
        let mut mask = ids.clone();
        let labels = mask.labels_mut().iter_mut().zip(attention);
        labels
            .filter(|(_, a)| **a < t)
            .for_each(|(label, _)| *label = OTHER);
        mask
    };
    let mut overlap = Overlap::new(protocol.classes, protocol);
    for (ids, attention, truth) in pictures {
        overlap.add(&cut(ids, attention), truth).unwrap();
    }
    let matching = Matching::fit(MatchingRule::ImageLevel, &overlap).unwrap();
    let mut evaluator = Evaluator::new(protocol);
    for (ids, attention, truth) in pictures {
        let named = matching.apply_under(&cut(ids, attention), &protocol);
        evaluator.add(&named.unwrap(), truth).unwrap();
    }
    ThresholdPoint {
        threshold: t,
        miou: evaluator.report().miou,
        matching,
    }
}

#[track_caller]
fn check_points(protocol: Protocol, pictures: &[Picture]) {
    let points = curve_of(protocol, pictures).points().unwrap();
    assert_eq!(points.len(), 81);
    for (index, point) in points.into_iter().enumerate() {
        let expected = point_by_evaluation(protocol, pictures, index as f32 / 100.0);
        assert_eq!(point, expected, "i = {index}");
    }
}

#[test]
fn one_pass_equals_an_evaluation_at_each_threshold() {
    let pictures = pictures(5, 9);
    let zero = Protocol::new(7);
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..zero
    };
    let classes_alone = Protocol {
        score_other: false,
        ..zero
    };
    for protocol in [zero, skip, classes_alone] {
        check_points(protocol, &pictures);
    }
}

/// Two ids out of range, one of them in half of the pictures.
#[test]
fn dropped_ids_are_dropped_at_each_threshold() {
    let mut pictures = pictures(8, 6);
    for (index, (ids, ..)) in pictures.iter_mut().enumerate() {
        ids.labels_mut()[20..60].fill([8, 900][index % 2]);
        ids.labels_mut()[90..99].fill(8);
    }
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(7)
    };
    check_points(protocol, &pictures);
    let curve = curve_of(protocol, &pictures);
    let stored = serde_json::to_string(&curve).unwrap();
    let read: ThresholdCurve = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, curve);
    let strict = stored.replace(r#""out_of_range":"drop""#, r#""out_of_range":"error""#);
    assert!(serde_json::from_str::<ThresholdCurve>(&strict).is_err());
}

#[test]
fn pictures_without_a_label_of_the_mean_have_no_miou() {
    let other = LabelMask::new(3, 1, vec![0; 3]).unwrap();
    let protocol = Protocol {
        score_other: false,
        ..Protocol::new(1)
    };
    let mut curve = ThresholdCurve::new(protocol);
    curve.add(&other, &[0.5; 3], &other).unwrap();
    assert_eq!(curve.best().unwrap().miou, None);
}

#[test]
fn merging_equals_one_pass_in_any_order() {
    let pictures = pictures(6, 7);
    let curve_of = |pictures| curve_of(Protocol::new(7), pictures);
    let (mut late, early) = (curve_of(&pictures[3..]), curve_of(&pictures[..3]));
    late.merge(&early).unwrap();
    assert_eq!(late, curve_of(&pictures));
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..Protocol::new(7)
    };
    assert!(late.merge(&ThresholdCurve::new(skip)).is_err());
}

#[test]
fn the_best_point_is_the_first_maximum() {
    let ids = LabelMask::new(3, 1, vec![1, 1, 0]).unwrap();
    let mut curve = ThresholdCurve::new(Protocol::new(1));
    curve
        .add(
            &ids,
            &[0.9, 0.455, 0.0],
            &LabelMask::new(3, 1, vec![1, 0, 0]).unwrap(),
        )
        .unwrap();
    let best = curve.best().unwrap();
    assert_eq!((best.threshold, best.miou), (0.46, Some(1.0)));
}

#[test]
fn a_pixel_at_the_threshold_keeps_its_cluster() {
    let one = |label| LabelMask::new(1, 1, vec![label]).unwrap();
    let mut curve = ThresholdCurve::new(Protocol::new(1));
    curve.add(&one(1), &[0.41], &one(1)).unwrap();
    let points = curve.points().unwrap();
    // "other" is absent: 0.
    assert_eq!((points[41].miou, points[42].miou), (Some(0.5), Some(0.0)));
}

#[test]
fn an_attention_that_is_no_number_is_refused_with_its_place() {
    let (ids, attention, truth) = pictures(7, 1).remove(0);
    let mut curve = curve_of(Protocol::new(7), &[]);
    let before = curve.clone();
    let mut broken = attention.clone();
    broken[17 + 3] = f32::NAN;
    let error = curve.add(&ids, &broken, &truth).unwrap_err();
    assert_eq!(error, Error::AttentionNotANumber { x: 3, y: 1 });
    let error = curve.add(&ids, &attention[1..], &truth).unwrap_err();
    assert_eq!(
        error,
        Error::AttentionCount {
            values: 186,
            pixels: 187
        }
    );
    assert_eq!(curve, before);
}

#[test]
fn an_empty_curve_has_no_points() {
    let curve = ThresholdCurve::new(Protocol::new(3));
    assert_eq!(curve.best(), Err(Error::NoImages));
}
