//! The published toolbox's numbers, and an independent recomputation with exact integers, on three
//! sets of synthetic masks (described in the README of the crate `golden`).
//!
//! Integers must be equal; floats agree with the independent numbers to 1e-9 percentage points, with
//! the toolbox's (single precision) to 2e-5. The one listed exception is checked to be one.

mod pixel_scores;
mod set;

use std::collections::BTreeMap;

use luss_metrics::{
    Areas, ClassAreas, CoOccurrence, Error, Evaluator, ImageCounts, ImageScore, LabelMask,
    Matching, MatchingRule, OutOfRange, Overlap, Protocol, Report, SizeGroup, ThresholdCurve, Ties,
};
use serde_json::Value;
use set::GoldenSet;

/// Worst difference of the toolbox's float32 arithmetic, in percentage points.
const TOOLBOX: f64 = 2e-5;
/// Two float64 computations of the same rational numbers.
const EXACT: f64 = 1e-9;

type Pair = (LabelMask, LabelMask);

fn evaluated(classes: u16, pairs: &[Pair]) -> Evaluator {
    let mut evaluator = Evaluator::new(Protocol::new(classes));
    pairs
        .iter()
        .for_each(|(prediction, truth)| evaluator.add(prediction, truth).unwrap());
    evaluator
}

fn matched(pairs: &[Pair], matching: &Matching) -> Vec<Pair> {
    let one = |(prediction, truth): &Pair| (matching.apply(prediction).unwrap(), truth.clone());
    pairs.iter().map(one).collect()
}

/// Leaves the pairs at the given threshold of their attention.
fn thresholded(set: &GoldenSet, pairs: &[Pair], threshold: f32) -> Vec<Pair> {
    let mut pairs = pairs.to_vec();
    for ((prediction, _), attention) in pairs.iter_mut().zip(set.attention()) {
        let labels = prediction.labels_mut().iter_mut().zip(attention);
        labels
            .filter(|(_, a)| *a < threshold)
            .for_each(|(label, _)| *label = 0);
    }
    pairs
}

/// The toolbox's tables hold ids 1.. as they are; PASS's hold ids from 0 and ignore as 1000.
fn match_of(table: &Value, first_id: u16) -> Matching {
    let entries = table.as_object().unwrap().iter();
    let ids = entries.map(|(k, v)| (k.parse::<u16>().unwrap(), v.as_u64().unwrap() as u16));
    let one_based = |id: u16| id + 1 - first_id;
    let map: BTreeMap<u16, u16> = ids
        .filter(|(id, _)| (first_id..1000).contains(id))
        .map(|(id, class)| (one_based(id), one_based(class)))
        .collect();
    Matching::from_json(&serde_json::to_string(&map).unwrap()).unwrap()
}

#[track_caller]
fn assert_areas(set: &GoldenSet, prefix: &str, evaluator: &Evaluator) {
    let labels = usize::from(set.classes) + 1;
    let check = |name: &str, row: usize, areas: &ClassAreas| {
        for (letters, ours) in [
            ("T", areas.prediction()),
            ("P", areas.truth()),
            ("TP", areas.intersection()),
        ] {
            let key = format!("{prefix}_{name}{letters}");
            assert_eq!(ours[..labels], set.counts(&key)[row], "{key}, row {row}");
        }
    };
    let both = |size: &str, row, areas: &Areas| {
        check(size, row, &areas.mask);
        check(&format!("{size}B"), row, &areas.boundary);
    };
    both("", 0, evaluator.areas());
    SizeGroup::ALL
        .iter()
        .for_each(|&g| both("s", g as usize, evaluator.areas_of(g)));
}

/// The scores under the toolbox's names, in percent.
fn named_scores(report: &Report) -> Vec<(String, Option<f64>)> {
    let mut scores = vec![
        ("mIoU".to_string(), report.miou),
        ("mBIoU".to_string(), report.boundary_miou),
        ("Acc".to_string(), report.image_accuracy),
        ("FMeasure".to_string(), report.f_beta),
    ];
    for size in &report.sizes {
        scores.push((size.group.to_string(), size.miou));
        scores.push((format!("B{}", size.group), size.boundary_miou));
    }
    scores
        .into_iter()
        .map(|(name, ratio)| (name, ratio.map(|r| 100.0 * r)))
        .collect()
}

/// Compares every score; returns the names of those that differ by more than `tolerance`.
fn differing(report: &Report, expected: &Value, tolerance: f64) -> Vec<String> {
    let close = |name: &str, ours: Option<f64>| match (ours, expected[name].as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance,
        (ours, theirs) => ours.is_none() && theirs.is_none(),
    };
    let scores = named_scores(report).into_iter();
    let mut names: Vec<String> = scores
        .filter(|(name, ours)| !close(name, *ours))
        .map(|(name, _)| name)
        .collect();
    for (class, theirs) in report
        .per_class
        .iter()
        .zip(expected["IoUs"].as_array().unwrap())
    {
        let ours = 100.0 * class.iou.unwrap_or_default();
        if (ours - theirs.as_f64().unwrap()).abs() > tolerance {
            names.push(format!("IoU of {}", class.class));
        }
    }
    names
}

#[track_caller]
fn assert_scores(report: &Report, expected: &Value, tolerance: f64) {
    let differing = differing(report, expected, tolerance);
    assert!(
        differing.is_empty(),
        "{differing:?} differ: {report} against {expected:#}"
    );
}

#[track_caller]
fn assert_extra_means(report: &Report, expected: &Value) {
    let ious = || report.per_class.iter().filter_map(|class| class.iou);
    let present = 100.0 * ious().sum::<f64>() / ious().count() as f64;
    assert!((present - expected["mIoU_present_only"].as_f64().unwrap()).abs() < EXACT);
    let without_other = 100.0 * report.miou_without_other.unwrap();
    assert!((without_other - expected["mIoU_without_other"].as_f64().unwrap()).abs() < EXACT);
}

#[track_caller]
fn assert_pictures(set: &GoldenSet, classes: u16, pairs: &[Pair], expected: &Value) {
    let truth_areas = set.counts("per_image_P");
    for (index, (prediction, truth)) in pairs.iter().enumerate() {
        let score = ImageScore::new(prediction, truth, classes).unwrap();
        let name = &set.images[index];
        let f = expected["F_per_image"][index].as_f64().unwrap();
        let ours = score.f_beta.unwrap_or_default(); // the toolbox has 0 where no foreground is
        assert!(
            (ours - f).abs() < 1e-12,
            "F-measure of {name}: {ours} not {f}"
        );
        let pixels = expected["counted_pixels"][index].as_u64().unwrap();
        assert_eq!(score.counted_pixels, pixels, "pixels of {name}");
        assert_eq!(
            truth_areas[index].iter().sum::<u64>(),
            pixels,
            "areas of {name}"
        );
        let correct = expected["acc_per_image"][index].as_u64().unwrap() == 1;
        assert_eq!(score.label_correct, correct, "label of {name}");
    }
}

#[track_caller]
fn assert_co_occurrence(set: &GoldenSet, pairs: &[Pair], clusters: u16) -> CoOccurrence {
    let mut table = CoOccurrence::new(clusters, set.classes);
    pairs
        .iter()
        .for_each(|(prediction, truth)| table.add(prediction, truth).unwrap());
    for (cluster, row) in (1..).zip(set.counts("cooc")) {
        let ours: Vec<u64> = (1..=set.classes)
            .map(|class| table.count(cluster, class))
            .collect();
        assert_eq!(ours, row, "cluster {cluster}");
    }
    table
}

/// Everything that a set without out-of-range ids has in common.
fn check_regular_set(set: &GoldenSet) -> Vec<Pair> {
    let pairs = set.pairs();
    let raw = evaluated(set.classes, &pairs);
    assert_areas(set, "raw", &raw);
    assert_scores(&raw.report(), &set.independent["raw"], EXACT);
    assert_scores(&raw.report(), &set.official["imagenets_raw"], TOOLBOX);
    assert_scores(&raw.report(), &set.official["pass_identity"], TOOLBOX);
    assert_extra_means(&raw.report(), &set.independent["raw"]);
    assert_pictures(set, set.classes, &pairs, &set.independent["raw"]);

    let table = assert_co_occurrence(set, &pairs, set.classes);
    let total = Matching::image_level(&table).unwrap().total();
    assert_eq!(total, set.independent["match_square_total"].as_u64());

    // Several matchings are optimal: score with the toolbox's own.
    let matching = match_of(&set.official["imagenets_match"], 1);
    let evaluator = evaluated(set.classes, &matched(&pairs, &matching));
    assert_areas(set, "matched", &evaluator);
    assert_scores(&evaluator.report(), &set.independent["matched"], EXACT);
    assert_scores(
        &evaluator.report(),
        &set.official["imagenets_matched"],
        TOOLBOX,
    );
    pairs
}

#[test]
fn realistic_blobs_score_as_in_the_toolbox() {
    let set = GoldenSet::open("a_basic50");
    check_regular_set(&set);
}

#[test]
fn attention_thresholds_score_as_in_the_published_evaluator() {
    let set = GoldenSet::open("e_curve50");
    let pairs = check_regular_set(&set);
    let published = set.official["pass_match"].as_object().unwrap();
    assert_eq!(published.len(), 5, "thresholds of the set");
    for (text, table) in published {
        let kept = thresholded(&set, &pairs, text.parse().unwrap());
        let evaluator = evaluated(set.classes, &matched(&kept, &match_of(table, 0)));
        assert_areas(&set, &format!("pass_{text}"), &evaluator);
        assert_scores(&evaluator.report(), &set.independent["pass"][text], EXACT);
        assert_scores(&evaluator.report(), &set.official["pass"][text], TOOLBOX);
    }
}

#[test]
fn the_threshold_curve_finds_the_published_optima() {
    let set = GoldenSet::open("e_curve50");
    let mut curve = ThresholdCurve::new(Protocol::new(set.classes));
    for ((ids, truth), attention) in set.pairs().iter().zip(set.attention()) {
        curve.add(ids, &attention, truth).unwrap();
    }
    let points = curve.points().unwrap();
    assert_ties(&set);
    for (text, totals) in set.independent["pass_match_total"].as_object().unwrap() {
        let point = points
            .iter()
            .find(|p| p.threshold == text.parse::<f32>().unwrap())
            .unwrap();
        assert_eq!(
            point.matching.total(),
            totals["optimal"].as_u64(),
            "t = {text}"
        );
        let kept = thresholded(&set, &set.pairs(), point.threshold);
        let report = evaluated(set.classes, &matched(&kept, &point.matching)).report();
        assert_eq!(point.miou, report.miou, "t = {text}");
    }
}

/// The toolbox's own matching is one of the optimal ones, so its mIoU lies in their range.
#[track_caller]
fn assert_ties(set: &GoldenSet) {
    let protocol = Protocol::new(set.classes);
    let mut overlap = Overlap::new(set.classes, protocol);
    let mut counts = Vec::new();
    for (prediction, truth) in set.pairs() {
        overlap.add(&prediction, &truth).unwrap();
        counts.push(ImageCounts::new(&prediction, &truth, set.classes, &protocol).unwrap());
    }
    let theirs = match_of(&set.official["imagenets_match"], 1);
    let ties = Ties::of(MatchingRule::ImageLevel, &overlap).unwrap();
    let range = ties.miou.unwrap();
    let miou = overlap.miou(&theirs).unwrap().unwrap();
    assert!(
        range.exact && range.lowest <= miou && miou <= range.highest,
        "{miou} in {range:?}"
    );

    // Counted once before the matching, the pictures give what the relabelled masks give.
    let mut evaluator = Evaluator::new(Protocol::new(set.classes));
    for image in &counts {
        let matched = image
            .matched(&theirs, &protocol)
            .unwrap()
            .expect("a bijection joins nothing");
        evaluator.add_counts(&matched).unwrap();
    }
    assert_eq!(
        evaluator,
        evaluated(set.classes, &matched(&set.pairs(), &theirs))
    );
}

/// The pairs with the predicted id 1000 of one picture replaced.
fn with_1000_as(pairs: &[Pair], id: u16) -> Vec<Pair> {
    let mut pairs = pairs.to_vec();
    let labels = pairs
        .iter_mut()
        .flat_map(|(prediction, _)| prediction.labels_mut());
    labels
        .filter(|label| **label == 1000)
        .for_each(|label| *label = id);
    pairs
}

/// Stray ids dropped, every number of the toolbox is reproduced.
#[test]
fn every_edge_case_scores_as_in_the_toolbox_when_stray_ids_are_dropped() {
    let set = GoldenSet::open("b_edge50");
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(set.classes)
    };
    let mut evaluator = Evaluator::new(protocol);
    for (prediction, truth) in set.pairs() {
        evaluator.add(&prediction, &truth).unwrap();
    }
    let report = evaluator.report();
    assert_areas(&set, "raw", &evaluator);
    assert_scores(&report, &set.independent["raw"], EXACT);
    assert_extra_means(&report, &set.independent["raw"]);
    for (index, (prediction, truth)) in set.pairs().iter().enumerate() {
        let image = ImageCounts::new(prediction, truth, set.classes, &protocol).unwrap();
        let expected = set.independent["raw"]["acc_per_image"][index].as_u64();
        let correct = ImageScore::of(&image, &protocol).label_correct;
        assert_eq!(Some(u64::from(correct)), expected, "{}", set.images[index]);
    }

    // Picture 037 is exactly 50 %, which the toolbox's single precision places above.
    let official = differing(&report, &set.official["imagenets_raw"], TOOLBOX);
    assert_eq!(official, ["ML", "BML", "L", "BL"]);
}

/// Ids above the class count are refused here and dropped by the toolbox. An evaluator for 61
/// classes keeps them apart, so the counts of labels 0 to 50 must be those of the toolbox.
#[test]
fn every_edge_case_counts_as_in_the_toolbox() {
    let set = GoldenSet::open("b_edge50");
    let pairs = with_1000_as(&set.pairs(), 61);
    let wide = evaluated(61, &pairs);
    assert_areas(&set, "raw", &wide);
    let f = set.independent["raw"]["FMeasure"].as_f64().unwrap();
    assert!((100.0 * wide.report().f_beta.unwrap() - f).abs() < EXACT);
    assert_pictures(&set, 61, &pairs, &set.independent["raw"]);

    let table = assert_co_occurrence(&set, &with_1000_as(&set.pairs(), 0), 60);
    let matching = Matching::image_level(&table).unwrap();
    assert_eq!(
        matching.total(),
        set.independent["match_rect_total"].as_u64()
    );
}

/// The set's own matching of 60 clusters with 50 classes; `alone` is the class of the clusters
/// that stay alone, and of the stray id 61.
fn rectangular_matching(set: &GoldenSet, alone: impl Fn(u16) -> u16) -> Matching {
    let mut table = set.independent["rect_match"].as_object().unwrap().clone();
    for id in 1..=61 {
        table
            .entry(id.to_string())
            .or_insert_with(|| alone(id).into());
    }
    match_of(&Value::Object(table), 1)
}

#[test]
fn clusters_that_stay_alone_score_as_other_as_in_the_toolbox() {
    let set = GoldenSet::open("b_edge50");
    let matching = rectangular_matching(&set, |_| 0);
    let pairs = matched(&with_1000_as(&set.pairs(), 61), &matching);
    let evaluator = evaluated(set.classes, &pairs);
    let report = evaluator.report();
    assert_areas(&set, "rect_other", &evaluator);
    assert_scores(&report, &set.independent["rect_unmatched_to_other"], EXACT);
    assert_extra_means(&report, &set.independent["rect_unmatched_to_other"]);

    // Picture 037 is exactly 50 %, which the toolbox's single precision places above.
    let official = differing(&report, &set.official["rect_unmatched_to_other"], TOOLBOX);
    assert_eq!(official, ["ML", "BML", "L", "BL"]);
}

#[test]
fn clusters_that_stay_alone_keep_their_regions_when_given_ids_of_their_own() {
    let set = GoldenSet::open("b_edge50");
    let matching = rectangular_matching(&set, |cluster| 100 + cluster);
    let pairs = matched(&with_1000_as(&set.pairs(), 61), &matching);
    assert_areas(&set, "rect_oor", &evaluated(161, &pairs));
}

#[test]
fn stray_ids_are_refused_with_their_place() {
    let set = GoldenSet::open("b_edge50");
    let mut evaluator = Evaluator::new(Protocol::new(set.classes));
    let mut refused = Vec::new();
    for (name, (prediction, truth)) in set.images.iter().zip(set.pairs()) {
        match evaluator.add(&prediction, &truth) {
            Ok(()) => {}
            Err(Error::PredictionOutOfRange { id, x, y, classes }) => {
                assert_eq!((prediction.at(x, y), classes), (id, set.classes));
                refused.push((name.split('/').nth(1).unwrap().to_string(), id));
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    refused.sort();
    let ids: Vec<u16> = refused.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, [57, 1000], "{refused:?}");
    assert_eq!(evaluator.images(), set.images.len() as u64 - 2);
}
