//! The curve against the published way: threshold, match and evaluate, 81 times.

use super::*;
use crate::{
    Evaluator, LabelMask, Protocol,
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

fn curve_of(pictures: &[Picture]) -> ThresholdCurve {
    let mut curve = ThresholdCurve::new(7);
    pictures
        .iter()
        .for_each(|(ids, attention, truth)| curve.add(ids, attention, truth).unwrap());
    curve
}

/// The published way: threshold, match, evaluate.
fn point_by_evaluation(pictures: &[Picture], t: f32) -> ThresholdPoint {
    let cut = |ids: &LabelMask, attention: &[f32]| {
        let mut mask = ids.clone();
        let labels = mask.labels_mut().iter_mut().zip(attention);
        labels
            .filter(|(_, a)| **a < t)
            .for_each(|(label, _)| *label = OTHER);
        mask
    };
    let mut table = CoOccurrence::new(7, 7);
    pictures
        .iter()
        .for_each(|(ids, a, truth)| table.add(&cut(ids, a), truth).unwrap());
    let matching = Matching::image_level(&table).unwrap();
    let mut evaluator = Evaluator::new(Protocol::new(7));
    for (ids, attention, truth) in pictures {
        evaluator
            .add(&matching.apply(&cut(ids, attention)).unwrap(), truth)
            .unwrap();
    }
    ThresholdPoint {
        threshold: t,
        miou: evaluator.report().miou.unwrap(),
        matching,
    }
}

#[test]
fn one_pass_equals_an_evaluation_at_each_threshold() {
    let pictures = pictures(5, 9);
    let points = curve_of(&pictures).points().unwrap();
    assert_eq!(points.len(), 81);
    for (index, point) in points.into_iter().enumerate() {
        assert_eq!(
            point,
            point_by_evaluation(&pictures, index as f32 / 100.0),
            "i = {index}"
        );
    }
}

#[test]
fn merging_equals_one_pass_in_any_order() {
    let pictures = pictures(6, 7);
    let (mut late, early) = (curve_of(&pictures[3..]), curve_of(&pictures[..3]));
    late.merge(&early).unwrap();
    assert_eq!(late, curve_of(&pictures));
    assert!(late.merge(&ThresholdCurve::new(3)).is_err());
}

#[test]
fn the_best_point_is_the_first_maximum() {
    let ids = LabelMask::new(3, 1, vec![1, 1, 0]).unwrap();
    let mut curve = ThresholdCurve::new(1);
    curve
        .add(
            &ids,
            &[0.9, 0.455, 0.0],
            &LabelMask::new(3, 1, vec![1, 0, 0]).unwrap(),
        )
        .unwrap();
    let best = curve.best().unwrap();
    assert_eq!((best.threshold, best.miou), (0.46, 1.0));
}

#[test]
fn a_pixel_at_the_threshold_keeps_its_cluster() {
    let one = |label| LabelMask::new(1, 1, vec![label]).unwrap();
    let mut curve = ThresholdCurve::new(1);
    curve.add(&one(1), &[0.41], &one(1)).unwrap();
    let points = curve.points().unwrap();
    assert_eq!((points[41].miou, points[42].miou), (0.5, 0.0)); // "other" is absent: 0
}

#[test]
fn an_attention_that_is_no_number_is_refused_with_its_place() {
    let (ids, attention, truth) = pictures(7, 1).remove(0);
    let mut curve = curve_of(&[]);
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
    assert_eq!(ThresholdCurve::new(3).best(), Err(Error::NoImages));
}
