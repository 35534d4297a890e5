//! How long does scoring three results of 752 pictures take, as the step `evaluate` of a run does?
//!
//! Two results are matched, one holds classes; each mask is decoded once, on all cores.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use luss_benches::{prediction_mask, truth_mask};
use luss_metrics::{
    Evaluator, ImageCounts, LabelMask, MatchedEvaluator, MatchingRule, Protocol,
    folder::{decode_mask, encode_mask},
};
use rayon::prelude::*;

const PICTURES: usize = 752;
const CLASSES: u16 = 50;

/// The files of a picture: its truth, and what the three results predict.
struct Picture {
    truth: Vec<u8>,
    predictions: [Vec<u8>; 3],
}

fn picture(index: usize) -> Picture {
    let shift = index as u16 % CLASSES;
    let moved = |label: u16| match label {
        1..=CLASSES => (label - 1 + shift) % CLASSES + 1,
        label => label,
    };
    let file = |mask: LabelMask| {
        let labels = mask.labels().iter().map(|&label| moved(label)).collect();
        encode_mask(&LabelMask::new(mask.width(), mask.height(), labels).expect("the same size"))
    };
    Picture {
        truth: file(truth_mask(CLASSES)),
        predictions: [(); 3].map(|()| file(prediction_mask(CLASSES))),
    }
}

fn decoded(file: &[u8]) -> LabelMask {
    decode_mask(file).expect("a mask of this bench").0
}

/// The mIoU of each result.
fn evaluate(pictures: &[Picture]) -> [Option<f64>; 3] {
    let protocol = Protocol::new(CLASSES);
    let count = |picture: &Picture| {
        let truth = decoded(&picture.truth);
        picture.predictions.each_ref().map(|file| {
            ImageCounts::new(&decoded(file), &truth, CLASSES, &protocol).expect("known ids")
        })
    };
    let counts: Vec<_> = pictures.par_iter().map(count).collect();
    let matched = || MatchedEvaluator::new(protocol, MatchingRule::ImageLevel);
    let (mut first, mut second, mut third) = (matched(), matched(), Evaluator::new(protocol));
    for [a, b, c] in counts {
        first.add_counts(a).expect("known ids");
        second.add_counts(b).expect("known ids");
        third.add_counts(&c).expect("known ids");
    }
    let miou = |it: MatchedEvaluator| it.finish().expect("one to one").report.miou;
    [miou(first), miou(second), third.report().miou]
}

fn evaluation(criterion: &mut Criterion) {
    let pictures: Vec<Picture> = (0..PICTURES).map(picture).collect();
    let mut group = criterion.benchmark_group("evaluation");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    group.bench_function(format!("{PICTURES} pictures, 3 results"), |bencher| {
        bencher.iter(|| evaluate(&pictures));
    });
    group.finish();
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
