//! Whatever the text, a stored state is restored or refused. One that is restored can be used: nothing
//! panics, all scores are ratios, and it is stored as a text that restores the same. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luss_metrics::{
    Confusion, Error, Evaluator, ImageCounts, MatchedEvaluator, Matching, Overlap, Protocol, Report,
    Score, ThresholdCurve,
};
use serde::{Serialize, de::DeserializeOwned};

/// Most ids of a state that is used: with more, a matching takes too long.
const MOST: u16 = 60;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let _ = match choice % 6 {
        0 => restored(text).map(use_counts),
        1 => restored(text).map(|state: MatchedEvaluator| {
            let size = state.clusters().max(state.protocol().classes);
            if size <= MOST && state.clone().merge(&state).is_ok() {
                let _ = state.finish().map(|matched| check(&matched.report));
            }
        }),
        2 => restored(text).map(|mut state: Evaluator| {
            let _ = state.merge(&state.clone());
            check(&state.report());
        }),
        3 => restored(text).map(|mut state: Overlap| {
            let _ = state.merge(&state.clone());
            let matching = Matching::identity(state.clusters());
            let _ = state.miou(&matching).map(check_ratio);
        }),
        4 => restored(text).map(|mut state: ThresholdCurve| {
            let _ = state.merge(&state.clone());
            if state.protocol().classes <= MOST {
                let points = state.points().into_iter().flatten();
                points.for_each(|point| check_ratio(point.miou));
            }
        }),
        _ => restored(text).map(|mut state: Confusion| {
            let _ = state.merge(&state.clone());
        }),
    };
});

fn restored<T: Serialize + DeserializeOwned + PartialEq>(text: &[u8]) -> Option<T> {
    let state: T = serde_json::from_slice(text).ok()?;
    let again = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert!(state == again);
    Some(state)
}

fn use_counts(counts: ImageCounts) {
    let protocol = Protocol::new(MOST);
    let _: Result<(), Error> = Evaluator::new(protocol).add_counts(&counts);
    let matching = Matching::identity(MOST);
    let Ok(Some(named)) = counts.matched(&matching, &protocol) else { return };
    let mut evaluator = Evaluator::new(protocol);
    if evaluator.add_counts(&named).is_ok() {
        check(&evaluator.report());
    }
}

fn check(report: &Report) {
    Score::ALL.iter().for_each(|score| check_ratio(score.of(report)));
}

fn check_ratio(score: Option<f64>) {
    assert!(score.is_none_or(|score| (0.0..=1.0).contains(&score)), "{score:?}");
}
