//! The bootstrap against evaluations of the drawn pictures, one by one.

use super::*;
use crate::{
    Evaluator, LabelMask, Matching, OutOfRange, Overlap,
    testing::{Noise, blobs},
};

const CLASSES: u16 = 4;

type Pair = (LabelMask, LabelMask);

/// Pictures of one class each, in which a cluster shows two thirds of the time where it belongs.
fn pairs(seed: u64, clusters: u16) -> Vec<Pair> {
    let mut noise = Noise::new(seed);
    let pair = |index: usize| {
        let class = 1 + (index % usize::from(CLASSES)) as u16;
        // The truths are the same whatever the seed.
        let shape = blobs(&mut Noise::new(index as u64), 13, 9, 3, 1);
        let mut truth = shape.clone();
        truth
            .labels_mut()
            .iter_mut()
            .for_each(|label| *label *= class);
        truth.labels_mut()[..5].fill(1000);
        let mut prediction = blobs(&mut noise, 13, 9, 2, clusters);
        if noise.below(3) > 0 {
            prediction = shape;
            prediction
                .labels_mut()
                .iter_mut()
                .for_each(|label| *label *= clusters + 1 - class);
        }
        (prediction, truth)
    };
    (0..14).map(pair).collect()
}

fn counted(pairs: &[Pair], clusters: u16) -> Vec<ImageCounts> {
    counted_under(&Protocol::new(CLASSES), pairs, clusters)
}

fn counted_under(protocol: &Protocol, pairs: &[Pair], clusters: u16) -> Vec<ImageCounts> {
    let count = |(prediction, truth): &Pair| {
        ImageCounts::new(prediction, truth, clusters, protocol).unwrap()
    };
    pairs.iter().map(count).collect()
}

fn refit(images: &[ImageCounts], rule: MatchingRule, clusters: u16) -> Predictions<'_> {
    Predictions {
        images,
        fit: Fit::Refit { rule, clusters },
    }
}

/// The scores of the drawn pictures, masks and all.
fn scores_by_evaluation(
    protocol: Protocol,
    pairs: &[Pair],
    times: &[u32],
    rule: MatchingRule,
    clusters: u16,
) -> Values {
    let drawn = || {
        pairs
            .iter()
            .zip(times)
            .flat_map(|(pair, n)| std::iter::repeat_n(pair, *n as usize))
    };
    let mut overlap = Overlap::new(clusters, protocol);
    drawn().for_each(|(prediction, truth)| overlap.add(prediction, truth).unwrap());
    let matching = Matching::fit(rule, &overlap).unwrap();
    let mut evaluator = Evaluator::new(protocol);
    for (prediction, truth) in drawn() {
        let named = matching.apply_under(prediction, &protocol).unwrap();
        evaluator.add(&named, truth).unwrap();
    }
    let report = evaluator.report();
    Score::ALL.map(|score| score.of(&report))
}

#[track_caller]
fn check_resamples(protocol: Protocol, pairs: &[Pair], clusters: u16) {
    let images = counted_under(&protocol, pairs, clusters);
    for rule in [
        MatchingRule::ImageLevel,
        MatchingRule::PixelOverlap,
        MatchingRule::Iou,
    ] {
        let predictions = refit(&images, rule, clusters);
        let sampler = Sampler::new(&predictions, &protocol).unwrap();
        for resample in 0..9 {
            let times = draws(5, resample, pairs.len());
            let expected = scores_by_evaluation(protocol, pairs, &times, rule, clusters);
            assert_eq!(sampler.scores(&times).unwrap(), (expected, true));
        }
    }
}

#[test]
fn a_resample_scores_as_its_pictures_do() {
    for clusters in [3, 4] {
        check_resamples(Protocol::new(CLASSES), &pairs(1, clusters), clusters);
    }
}

/// Ids beyond the clusters, of which one would be a class.
#[test]
fn a_resample_drops_ids_as_its_pictures_do() {
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(CLASSES)
    };
    let mut pairs = pairs(6, 3);
    for (index, (prediction, _)) in pairs.iter_mut().enumerate() {
        prediction.labels_mut()[index..30].fill([4, 900][index % 2]);
    }
    check_resamples(protocol, &pairs, 3);
}

#[test]
fn joined_labels_make_the_boundary_inexact_and_nothing_else() {
    let protocol = Protocol::new(CLASSES);
    let (pairs, clusters) = (pairs(2, 9), 9);
    let images = counted(&pairs, clusters);
    let predictions = refit(&images, MatchingRule::ManyToOne, clusters);
    let sampler = Sampler::new(&predictions, &protocol).unwrap();
    let times = vec![1; pairs.len()];
    let (values, exact) = sampler.scores(&times).unwrap();
    let expected =
        scores_by_evaluation(protocol, &pairs, &times, MatchingRule::ManyToOne, clusters);
    assert!(!exact);
    for ((score, ours), theirs) in Score::ALL.into_iter().zip(values).zip(expected) {
        let boundary = matches!(score, Score::BoundaryMiou | Score::SizeBoundaryMiou(_));
        assert!(
            boundary || ours == theirs,
            "{score}: {ours:?} and {theirs:?}"
        );
    }
    assert_ne!(values[2], expected[2]);
}

#[test]
fn a_bootstrap_repeats_whatever_the_number_of_threads() {
    let images = counted(&pairs(3, 4), 4);
    let predictions = refit(&images, MatchingRule::ImageLevel, 4);
    let run = |seed, threads| {
        let bootstrap = Bootstrap {
            threads,
            ..Bootstrap::new(seed, 50)
        };
        bootstrap
            .intervals(&predictions, &Protocol::new(CLASSES))
            .unwrap()
            .scores
    };
    assert_eq!(run(7, 1), run(7, 3));
    assert_ne!(run(7, 1), run(8, 1));
    let miou = run(7, 2)[0];
    let (value, interval) = (miou.value.unwrap(), miou.interval.unwrap());
    assert!(interval.low < value && value < interval.high, "{miou:?}");
    assert_eq!(interval.resamples, 50);
}

#[test]
fn a_prediction_is_no_better_than_itself_and_worse_than_the_truth() {
    let pairs = pairs(4, 4);
    let truths: Vec<Pair> = pairs
        .iter()
        .map(|(_, truth)| (without_ignored(truth), truth.clone()))
        .collect();
    let (ours, perfect) = (counted(&pairs, 4), counted(&truths, 4));
    let bootstrap = Bootstrap::new(1, 40);
    let rule = MatchingRule::ImageLevel;
    let (a, b) = (refit(&ours, rule, 4), refit(&perfect, rule, 4));
    let same = bootstrap
        .compare(&a, &a, &Protocol::new(CLASSES))
        .unwrap()
        .scores[0];
    assert_eq!(
        (same.difference, same.equal, same.a_higher),
        (Some(0.0), 1.0, 0.0)
    );
    let worse = bootstrap
        .compare(&a, &b, &Protocol::new(CLASSES))
        .unwrap()
        .scores[0];
    assert_eq!((worse.b, worse.a_higher), (Some(1.0), 0.0));
    assert!(worse.interval.unwrap().high < 0.0, "{worse:?}");
}

fn without_ignored(truth: &LabelMask) -> LabelMask {
    let mut mask = truth.clone();
    mask.labels_mut()
        .iter_mut()
        .for_each(|label| *label %= 1000);
    mask
}

#[test]
fn predictions_of_other_pictures_are_not_compared() {
    let (ours, theirs) = (counted(&pairs(1, 4), 4), counted(&pairs(2, 4), 4));
    let mut swapped = theirs.clone();
    swapped.swap(3, 4);
    let compare = |b: &[ImageCounts]| {
        let (a, b) = (
            refit(&ours, MatchingRule::Iou, 4),
            refit(b, MatchingRule::Iou, 4),
        );
        Bootstrap::new(1, 3).compare(&a, &b, &Protocol::new(CLASSES))
    };
    assert!(compare(&theirs).is_ok());
    assert_eq!(compare(&swapped).unwrap_err(), Error::Unpaired { index: 3 });
    assert_eq!(
        compare(&theirs[..9]).unwrap_err(),
        Error::Unpaired { index: 9 }
    );
}

#[test]
fn impossible_settings_are_refused() {
    let images = counted(&pairs(1, 4), 4);
    let predictions = refit(&images, MatchingRule::Iou, 4);
    let run = |resamples, confidence| {
        let bootstrap = Bootstrap {
            confidence,
            ..Bootstrap::new(1, resamples)
        };
        bootstrap.intervals(&predictions, &Protocol::new(CLASSES))
    };
    for (resamples, confidence) in [(0, 0.9), (5, 0.0), (5, 1.0), (5, f64::NAN)] {
        assert!(matches!(
            run(resamples, confidence),
            Err(Error::BootstrapSettings { .. })
        ));
    }
    let nothing = refit(&[], MatchingRule::Iou, 4);
    let none = Bootstrap::new(1, 5).intervals(&nothing, &Protocol::new(CLASSES));
    assert_eq!(none.unwrap_err(), Error::NoImages);
}

#[test]
fn percentiles_lie_between_neighbours() {
    let values = [1.0, 2.0, 4.0, 8.0, 16.0];
    assert_eq!(
        [0.0, 0.25, 0.6, 1.0].map(|share| percentile(&values, share)),
        [1.0, 2.0, 5.6, 16.0]
    );
    assert_eq!(percentile(&[3.0], 0.025), 3.0);
}
