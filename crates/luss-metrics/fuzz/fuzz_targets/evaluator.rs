//! Whatever the masks and the policies, a picture is counted or refused; a refusal changes nothing,
//! and all scores are ratios.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use luss_metrics::{
    AbsentClass, BoundaryIgnore, Error, Evaluator, LabelMask, MatchedEvaluator, MatchingRule,
    OutOfRange, Protocol, Report, Score,
};

#[derive(Debug, Arbitrary)]
struct Input {
    classes: u8,
    clusters: u8,
    ignore: u16,
    ratio: f64,
    drops: bool,
    skips: bool,
    transparent: bool,
    score_other: bool,
    rule: u8,
    pictures: Vec<Picture>,
}

#[derive(Debug, Arbitrary)]
struct Picture {
    width: u8,
    pixels: Vec<(u8, u8)>,
    strays: Vec<(u16, u16)>,
}

impl Picture {
    fn masks(&self) -> Option<(LabelMask, LabelMask)> {
        let strays = self.strays.iter().copied();
        let pixels = self.pixels.iter().map(|&(p, t)| (p.into(), t.into()));
        let (prediction, truth): (Vec<u16>, Vec<u16>) = pixels.chain(strays).unzip();
        let (width, pixels) = (usize::from(self.width), truth.len());
        let height = pixels / width.max(1);
        let cut = |labels: Vec<u16>| LabelMask::new(width, height, labels[..width * height].to_vec());
        Some((cut(prediction).ok()?, cut(truth).ok()?))
    }
}

fuzz_target!(|input: Input| {
    let protocol = Protocol {
        ignore: input.ignore,
        boundary_ratio: input.ratio,
        out_of_range: if input.drops { OutOfRange::Drop } else { OutOfRange::Error },
        absent_class: if input.skips { AbsentClass::Skip } else { AbsentClass::Zero },
        boundary_ignore: if input.transparent { BoundaryIgnore::Transparent } else { BoundaryIgnore::Edge },
        score_other: input.score_other,
        ..Protocol::new(input.classes.into())
    };
    if protocol.check().is_err() || input.clusters == 0 {
        return;
    }
    let mut evaluator = Evaluator::new(protocol);
    let rule = MatchingRule::ALL[usize::from(input.rule % 4)];
    let mut fitting = MatchedEvaluator::new(protocol, rule).with_clusters(input.clusters.into());
    let mut added = Vec::new();
    for (prediction, truth) in input.pictures.iter().filter_map(Picture::masks) {
        let before = evaluator.clone();
        if evaluator.add(&prediction, &truth).is_err() {
            assert_eq!(evaluator, before);
        }
        if fitting.add(&prediction, &truth).is_ok() {
            added.push((prediction, truth));
        }
    }
    check(&evaluator.report());
    let matched = fitting.finish_with(|picture| Ok::<_, Error>(added[picture].clone()));
    if let Ok(matched) = matched {
        check(&matched.report);
        if let (Some(range), Some(miou)) = (matched.ties.miou, matched.report.miou) {
            assert!(range.lowest <= miou && miou <= range.highest, "{miou} in {range:?}");
        }
    } else {
        assert!(added.is_empty());
    }
});

fn check(report: &Report) {
    for value in Score::ALL.iter().filter_map(|score| score.of(report)) {
        assert!((0.0..=1.0).contains(&value), "{value}");
    }
}
