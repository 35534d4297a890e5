//! Ties against all matchings, tried one by one.

use super::*;
use crate::{LabelMask, Matching, OutOfRange, Protocol, testing::Noise};

/// Small pictures of few labels, so that counts tie; where ids are dropped, some are.
fn overlap(seed: u64, clusters: u16, protocol: Protocol, images: usize) -> Overlap {
    let mut noise = Noise::new(seed);
    let mut overlap = Overlap::new(clusters, protocol);
    let strays = u16::from(protocol.out_of_range == OutOfRange::Drop);
    for _ in 0..images {
        let mut mask = |ids: u16| {
            let labels = (0..5).map(|_| noise.below(usize::from(ids) + 1) as u16);
            LabelMask::new(5, 1, labels.collect()).unwrap()
        };
        let (prediction, truth) = (mask(clusters + strays), mask(protocol.classes));
        overlap.add(&prediction, &truth).unwrap();
    }
    overlap
}

/// Every one-to-one matching that leaves no more alone than it must, as classes of the clusters.
fn all_matchings(clusters: u16, classes: u16) -> Vec<Vec<u16>> {
    fn extend(classes: u16, spare: u16, left: u16, chosen: &mut Vec<u16>, all: &mut Vec<Vec<u16>>) {
        if left == 0 {
            return all.push(chosen.clone());
        }
        let free = (1..=classes).filter(|class| !chosen.contains(class));
        let mut options: Vec<u16> = free.collect();
        options.extend((spare > 0).then_some(OTHER));
        for class in options {
            chosen.push(class);
            extend(
                classes,
                spare - u16::from(class == OTHER),
                left - 1,
                chosen,
                all,
            );
            chosen.pop();
        }
    }
    let mut all = Vec::new();
    extend(
        classes,
        clusters.saturating_sub(classes),
        clusters,
        &mut Vec::new(),
        &mut all,
    );
    all
}

/// The optimal ones of them.
fn optimal_matchings(rule: MatchingRule, overlap: &Overlap) -> Vec<Vec<u16>> {
    let classes = usize::from(overlap.classes());
    let mut weights = vec![0; usize::from(overlap.clusters()) * classes];
    rule.for_each_weight(overlap, |cluster, class, weight| {
        weights[usize::from(cluster - 1) * classes + usize::from(class - 1)] = weight;
    });
    let worth = |(cluster, class): (usize, &u16)| match *class {
        OTHER => 0,
        class => weights[cluster * classes + usize::from(class) - 1],
    };
    let total = |matching: &Vec<u16>| matching.iter().enumerate().map(worth).sum::<u64>();
    let all = all_matchings(overlap.clusters(), overlap.classes());
    let largest = all.iter().map(total).max().unwrap();
    let fitted = Matching::fit(rule, overlap).unwrap();
    assert_eq!(fitted.total(), Some(largest), "{rule} of {overlap:?}");
    all.into_iter()
        .filter(|matching| total(matching) == largest)
        .collect()
}

#[track_caller]
fn check(rule: MatchingRule, overlap: &Overlap) -> Ties {
    let optimal = optimal_matchings(rule, overlap);
    let ties = Ties::of(rule, overlap).unwrap();
    let context = format!("{rule} of {overlap:?}");
    assert_eq!(
        (ties.assignments, ties.assignments_exact),
        (optimal.len() as u64, true),
        "{context}"
    );
    assert_eq!(ties.unique, optimal.len() == 1, "{context}");
    let differs = |cluster: &usize| optimal.iter().any(|m| m[*cluster] != optimal[0][*cluster]);
    let open = (0..usize::from(overlap.clusters())).filter(differs).count();
    assert_eq!(ties.clusters_with_choice, open as u64, "{context}");

    let miou = |m: &Vec<u16>| {
        overlap
            .miou_under(|cluster| m[usize::from(cluster) - 1])
            .unwrap_or_default()
    };
    let low = optimal.iter().map(miou).fold(f64::INFINITY, f64::min);
    let high = optimal.iter().map(miou).fold(0.0, f64::max);
    let Some(range) = ties.miou else {
        assert_eq!((low, high), (0.0, 0.0), "{context}");
        return ties;
    };
    assert!(
        range.lowest >= low - 1e-12 && range.highest <= high + 1e-12,
        "{context}"
    );
    if range.exact {
        let ends = (range.lowest - low).abs().max((range.highest - high).abs());
        assert!(ends < 1e-9, "{range:?}, not {low} to {high}: {context}");
    }
    ties
}

/// The policies that mIoU knows.
fn protocols(classes: u16) -> [Protocol; 4] {
    let zero = Protocol::new(classes);
    let skip = Protocol {
        absent_class: AbsentClass::Skip,
        ..zero
    };
    let classes_alone = Protocol {
        score_other: false,
        ..zero
    };
    let drop = Protocol {
        out_of_range: OutOfRange::Drop,
        ..zero
    };
    [zero, skip, classes_alone, drop]
}

#[test]
fn counts_and_ranges_equal_those_of_all_matchings() {
    let mut exact = 0;
    for seed in 0..120 {
        let mut noise = Noise::new(seed + 77);
        let (clusters, classes) = (1 + noise.below(5) as u16, 1 + noise.below(5) as u16);
        let images = 1 + noise.below(7);
        for protocol in protocols(classes) {
            let overlap = overlap(seed, clusters, protocol, images);
            for rule in [
                MatchingRule::ImageLevel,
                MatchingRule::PixelOverlap,
                MatchingRule::Iou,
            ] {
                let ties = check(rule, &overlap);
                let is_exact = ties.miou.is_some_and(|range| range.exact);
                exact += usize::from(is_exact && !ties.unique);
            }
        }
    }
    assert!(exact > 50, "{exact} ranges were compared");
}

#[test]
fn seven_by_seven_equals_all_matchings() {
    let rule = MatchingRule::ImageLevel;
    for seed in 0..3 {
        check(rule, &overlap(seed, 7, Protocol::new(7), 9));
    }
    check(rule, &overlap(5, 7, Protocol::new(5), 6));
    check(rule, &overlap(6, 5, Protocol::new(7), 6));
}

#[test]
fn no_overlap_leaves_everything_open() {
    let mut overlap = Overlap::new(300, Protocol::new(300));
    let other = LabelMask::new(1, 1, vec![0]).unwrap();
    overlap.add(&other, &other).unwrap();
    let ties = Ties::of(MatchingRule::ImageLevel, &overlap).unwrap();
    assert_eq!(ties.clusters_with_choice, 300);
    assert!(
        !ties.assignments_exact && ties.assignments >= 300 * 300 - 598,
        "{ties:?}"
    );
    let range = ties.miou.unwrap();
    assert_eq!((range.lowest, range.highest), (1.0 / 301.0, 1.0 / 301.0));
}

#[test]
fn a_cluster_shared_evenly_has_a_choice_many_to_one() {
    let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
    let mut overlap = Overlap::new(3, Protocol::new(4));
    overlap
        .add(&mask(&[1, 1, 2, 2, 2, 3]), &mask(&[4, 2, 1, 1, 3, 0]))
        .unwrap();
    let ties = Ties::of(MatchingRule::ManyToOne, &overlap).unwrap();
    assert_eq!((ties.assignments, ties.clusters_with_choice), (2, 1));
    let matching = Matching::fit(MatchingRule::ManyToOne, &overlap).unwrap();
    assert_eq!(
        [1, 2, 3].map(|cluster| matching.class_of(cluster)),
        [2, 1, 0]
    );
}

/// Of class 1 and of "other" two pixels each are true, and one of each has a dropped id: both IoUs are
/// one half. Were dropped pixels "other", theirs would be 2/3.
#[test]
fn dropped_pixels_are_nobodys_in_the_range() {
    let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(1)
    };
    let mut overlap = Overlap::new(1, protocol);
    let (prediction, truth) = (mask(&[1, 9, 0, 9]), mask(&[1, 1, 0, 0]));
    overlap.add(&prediction, &truth).unwrap();
    let ties = Ties::of(MatchingRule::ImageLevel, &overlap).unwrap();
    let range = ties.miou.unwrap();
    assert_eq!((range.lowest, range.highest), (0.5, 0.5));
    assert_eq!(overlap.pixels(9, 1), 0);
}
