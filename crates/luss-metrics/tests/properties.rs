//! Laws on random pictures, shrunk to small ones where they fail.

use luss_metrics::{
    AbsentClass, AttentionHistogram, Bootstrap, BoundaryIgnore, CoOccurrence, Confusion, Error,
    Evaluator, Fit, ImageCounts, LabelMask, MatchedEvaluator, Matching, MatchingRule, OutOfRange,
    Overlap, Predictions, Protocol, Report, Score, ThresholdCurve, Ties, boundary_map,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

const CLASSES: u16 = 5;
const IGNORE: u16 = 77;

/// A prediction and its truth.
#[derive(Debug, Clone)]
struct Picture {
    prediction: LabelMask,
    truth: LabelMask,
    attention: Vec<f32>,
}

/// Labels that stay the same for a while, as in a mask, and also single pixels.
fn labels(pixels: usize, label: impl Strategy<Value = u16>) -> impl Strategy<Value = Vec<u16>> {
    vec((label, 1usize..9), pixels).prop_map(move |runs| {
        let runs = runs
            .into_iter()
            .flat_map(|(label, n)| std::iter::repeat_n(label, n));
        runs.take(pixels).collect()
    })
}

fn picture() -> impl Strategy<Value = Picture> {
    (1usize..14, 1usize..12).prop_flat_map(|(width, height)| {
        let pixels = width * height;
        let truth = prop_oneof![6 => 0..=CLASSES, 1 => Just(IGNORE)];
        let attention = vec(
            (0u8..101).prop_map(|percent| f32::from(percent) / 100.0),
            pixels,
        );
        let masks = (
            labels(pixels, 0..=CLASSES),
            labels(pixels, truth),
            attention,
        );
        masks.prop_map(move |(prediction, truth, attention)| Picture {
            prediction: LabelMask::new(width, height, prediction).unwrap(),
            truth: LabelMask::new(width, height, truth).unwrap(),
            attention,
        })
    })
}

fn pictures() -> impl Strategy<Value = Vec<Picture>> {
    vec(picture(), 1..7)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    let absent = prop_oneof![Just(AbsentClass::Zero), Just(AbsentClass::Skip)];
    let seam = prop_oneof![
        Just(BoundaryIgnore::Edge),
        Just(BoundaryIgnore::Transparent)
    ];
    let stray = prop_oneof![Just(OutOfRange::Error), Just(OutOfRange::Drop)];
    (absent, seam, stray, 0.01..0.3, any::<bool>()).prop_map(
        |(absent_class, boundary_ignore, out_of_range, boundary_ratio, score_other)| Protocol {
            classes: CLASSES,
            ignore: IGNORE,
            out_of_range,
            absent_class,
            boundary_ignore,
            boundary_ratio,
            score_other,
        },
    )
}

/// Every score of a report, those of the labels included.
fn all_scores(report: &Report) -> Vec<Option<f64>> {
    let whole = Score::ALL.map(|score| score.of(report));
    let per_class = report.per_class.iter().flat_map(|class| {
        let (iou, boundary) = (class.iou, class.boundary_iou);
        [iou, boundary, class.precision, class.recall, class.dice]
    });
    whole.into_iter().chain(per_class).collect()
}

/// A perfectly predicted row of all labels.
fn picture_of_all_labels() -> Picture {
    let labels: Vec<u16> = (0..=CLASSES).collect();
    let mask = LabelMask::new(labels.len(), 1, labels).unwrap();
    Picture {
        attention: vec![1.0; mask.width()],
        prediction: mask.clone(),
        truth: mask,
    }
}

/// All that sums up pictures.
#[derive(Debug, Clone)]
struct Sums {
    evaluator: Evaluator,
    matched: MatchedEvaluator,
    confusion: Confusion,
    table: CoOccurrence,
    overlap: Overlap,
    curve: ThresholdCurve,
    attention: AttentionHistogram,
}

impl Sums {
    fn new(protocol: Protocol) -> Self {
        Self {
            evaluator: Evaluator::new(protocol),
            matched: MatchedEvaluator::new(protocol, MatchingRule::Iou),
            confusion: Confusion::new(CLASSES),
            table: CoOccurrence::with_ignore(CLASSES, CLASSES, IGNORE),
            overlap: Overlap::new(CLASSES, protocol),
            curve: ThresholdCurve::new(protocol),
            attention: AttentionHistogram::new(),
        }
    }

    fn of<'a>(protocol: Protocol, pictures: impl IntoIterator<Item = &'a Picture>) -> Self {
        let mut sums = Self::new(protocol);
        pictures.into_iter().for_each(|picture| sums.add(picture));
        sums
    }

    fn add(&mut self, picture: &Picture) {
        let Picture {
            prediction,
            truth,
            attention,
        } = picture;
        self.evaluator.add(prediction, truth).unwrap();
        self.matched.add(prediction, truth).unwrap();
        let counts = self.matched.images().last().unwrap();
        self.confusion.add(counts).unwrap();
        self.table.add(prediction, truth).unwrap();
        self.overlap.add(prediction, truth).unwrap();
        self.curve.add(prediction, attention, truth).unwrap();
        self.attention.add(attention).unwrap();
    }

    fn merge(&mut self, other: &Self) {
        self.evaluator.merge(&other.evaluator).unwrap();
        self.matched.merge(&other.matched).unwrap();
        self.confusion.merge(&other.confusion).unwrap();
        self.table.merge(&other.table).unwrap();
        self.overlap.merge(&other.overlap).unwrap();
        self.curve.merge(&other.curve).unwrap();
        self.attention.merge(&other.attention).unwrap();
    }

    fn stored_and_restored(&self) -> Self {
        Self {
            evaluator: restored(&self.evaluator),
            matched: restored(&self.matched),
            confusion: restored(&self.confusion),
            table: restored(&self.table),
            overlap: restored(&self.overlap),
            curve: restored(&self.curve),
            attention: restored(&self.attention),
        }
    }
}

/// Equal sums; of pictures that wait for their matching, the order does not matter.
impl PartialEq for Sums {
    fn eq(&self, other: &Self) -> bool {
        self.evaluator == other.evaluator
            && self.matched.finish() == other.matched.finish()
            && self.confusion == other.confusion
            && self.table == other.table
            && self.overlap == other.overlap
            && self.curve == other.curve
            && self.attention == other.attention
    }
}

fn restored<T: Serialize + DeserializeOwned>(state: &T) -> T {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

/// The same picture with the clusters 1 to C renamed.
fn renamed(picture: &Picture, names: &[u16]) -> Picture {
    let mut picture = picture.clone();
    let labels = picture.prediction.labels_mut().iter_mut();
    let clusters = labels.filter(|label| **label > 0);
    clusters.for_each(|label| *label = names[usize::from(*label) - 1]);
    picture
}

fn matched(pictures: &[Picture], matching: &Matching, protocol: Protocol) -> Evaluator {
    let mut evaluator = Evaluator::new(protocol);
    for Picture {
        prediction, truth, ..
    } in pictures
    {
        let named = matching.apply_under(prediction, &protocol).unwrap();
        evaluator.add(&named, truth).unwrap();
    }
    evaluator
}

/// Gives the last class another id.
fn replace_last_class(pictures: &mut [Picture], id: u16) {
    let predictions = pictures.iter_mut();
    let labels = predictions.flat_map(|picture| picture.prediction.labels_mut());
    labels
        .filter(|label| **label == CLASSES)
        .for_each(|label| *label = id);
}

/// Each label's region minus its erosion, one 3x3 step at a time.
fn boundary_by_erosion(mask: &LabelMask, thickness_px: usize) -> Vec<bool> {
    let (width, height) = mask.size();
    let inside = |region: &[bool], i: usize| {
        let (x, y) = (i % width, i / width);
        let border = x == 0 || y == 0 || x + 1 == width || y + 1 == height;
        !border && (y - 1..=y + 1).all(|v| (x - 1..=x + 1).all(|u| region[v * width + u]))
    };
    let mut boundary = vec![false; width * height];
    for label in 0..=CLASSES {
        let region: Vec<bool> = mask.labels().iter().map(|&l| l == label).collect();
        let eroded = (0..thickness_px).fold(region.clone(), |region, _| {
            (0..region.len()).map(|i| inside(&region, i)).collect()
        });
        for i in (0..region.len()).filter(|&i| region[i] && !eroded[i]) {
            boundary[i] = true;
        }
    }
    boundary
}

/// Replaces the `at`-th number of a state.
fn with_number(state: &Value, at: Index, number: &Value) -> Value {
    fn numbers<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
        match value {
            Value::Number(_) => found.push(value),
            Value::Array(items) => items.iter_mut().for_each(|item| numbers(item, found)),
            Value::Object(items) => items.values_mut().for_each(|item| numbers(item, found)),
            _ => {}
        }
    }
    let mut state = state.clone();
    let mut found = Vec::new();
    numbers(&mut state, &mut found);
    let count = found.len();
    *found[at.index(count)] = number.clone();
    state
}

fn hostile_number() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::from(u16::MAX)),
        Just(u64::from(u32::MAX)),
        Just(1 << 62),
        Just(u64::MAX),
        any::<u64>(),
        0..100u64,
    ];
    prop_oneof![
        number.prop_map(Value::from),
        Just(Value::from(-1)),
        Just(Value::from(0.5))
    ]
}

/// Uses a state that was accepted; errors are fine, panics are not.
fn use_sums(sums: &mut Sums, picture: &Picture) {
    let other = sums.clone();
    let _ = sums.evaluator.merge(&other.evaluator);
    let _ = sums.matched.merge(&other.matched);
    let _ = sums.confusion.merge(&other.confusion);
    let _ = sums.table.merge(&other.table);
    let _ = sums.overlap.merge(&other.overlap);
    let _ = sums.curve.merge(&other.curve);
    let _ = sums.attention.merge(&other.attention);
    let Picture {
        prediction,
        truth,
        attention,
    } = picture;
    let _ = sums.evaluator.add(prediction, truth);
    let _ = sums.matched.add(prediction, truth);
    let _ = sums.matched.finish();
    let _ = sums
        .matched
        .images()
        .last()
        .map(|counts| sums.confusion.add(counts));
    let _ = sums.table.add(prediction, truth);
    let _ = sums.overlap.add(prediction, truth);
    let _ = sums.curve.add(prediction, attention, truth);
    let _ = sums.attention.add(attention);
    let _ = sums.evaluator.report().to_string();
    let _ = Matching::image_level(&sums.table);
    for rule in MatchingRule::ALL {
        let _ = Matching::fit(rule, &sums.overlap);
        let _ = Ties::of(rule, &sums.overlap);
    }
    let _ = sums.overlap.miou(&Matching::identity(CLASSES));
    let _ = sums.curve.best();
    let _ = (
        sums.attention.otsu(),
        sums.attention.threshold_of_share(0.3),
    );
}

/// A state with some numbers replaced, if it is accepted.
fn damaged<T: Serialize + DeserializeOwned>(state: &T, damage: &[(Index, Value)]) -> Option<T> {
    let stored = serde_json::to_value(state).unwrap();
    let damaged = damage.iter().fold(stored, |state, (at, number)| {
        with_number(&state, *at, number)
    });
    serde_json::from_value(damaged).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn any_split_in_any_order_equals_one_pass(
        pictures in pictures(),
        shards in vec(0usize..3, 7),
        order in Just(vec![0usize, 1, 2]).prop_shuffle(),
        protocol in protocol(),
    ) {
        let whole = Sums::of(protocol, &pictures);
        let mut merged = Sums::new(protocol);
        for shard in order {
            let mine = pictures.iter().zip(&shards).filter(|(_, s)| **s == shard);
            let sums = Sums::of(protocol, mine.map(|(picture, _)| picture).rev());
            merged.merge(&sums.stored_and_restored());
        }
        prop_assert_eq!(merged.evaluator.report(), whole.evaluator.report());
        prop_assert_eq!(merged, whole);
    }

    #[test]
    fn counting_first_and_adding_later_equals_adding_masks(
        pictures in pictures(),
        names in Just((1..=CLASSES).collect::<Vec<u16>>()).prop_shuffle(),
        protocol in protocol(),
    ) {
        let text: Vec<String> = names.iter().zip(1..).map(|(class, id)| format!("\"{id}\": {class}")).collect();
        let matching = Matching::from_json(&format!("{{{}}}", text.join(", "))).unwrap();
        let (mut evaluator, mut overlap) = (Evaluator::new(protocol), Overlap::new(CLASSES, protocol));
        for Picture { prediction, truth, .. } in &pictures {
            let image = ImageCounts::new(prediction, truth, CLASSES, &protocol).unwrap();
            overlap.add_counts(&image).unwrap();
            let image: ImageCounts = restored(&image);
            evaluator.add_counts(&image.matched(&matching, &protocol).unwrap().unwrap()).unwrap();
        }
        prop_assert_eq!(&overlap, &Sums::of(protocol, &pictures).overlap);
        prop_assert_eq!(&evaluator, &matched(&pictures, &matching, protocol));
        let miou = overlap.miou(&matching).unwrap();
        prop_assert_eq!(miou, evaluator.report().miou);
    }

    /// With fewer clusters than classes, as many, and more; where ids are dropped, those above the
    /// clusters are.
    #[test]
    fn one_pass_equals_matching_first_and_evaluating_then(
        pictures in pictures(),
        clusters in 2..=CLASSES + 2,
        last in CLASSES..CLASSES + 3,
        protocol in protocol(),
    ) {
        let mut pictures = pictures;
        let clusters = if protocol.out_of_range == OutOfRange::Drop { clusters } else { clusters.max(CLASSES) };
        let largest = if protocol.out_of_range == OutOfRange::Drop { last } else { last.min(clusters) };
        replace_last_class(&mut pictures, largest);
        for rule in MatchingRule::ALL {
            let mut once = MatchedEvaluator::new(protocol, rule).with_clusters(clusters);
            let mut overlap = Overlap::new(clusters, protocol);
            for Picture { prediction, truth, .. } in &pictures {
                once.add(prediction, truth).unwrap();
                overlap.add(prediction, truth).unwrap();
            }
            let masks = |index: usize| {
                let Picture { prediction, truth, .. } = pictures[index].clone();
                Ok::<_, Error>((prediction, truth))
            };
            let once = once.finish_with(masks).unwrap();
            let matching = Matching::fit(rule, &overlap).unwrap();
            prop_assert_eq!(&once.evaluator, &matched(&pictures, &matching, protocol));
            prop_assert_eq!(&once.report, &once.evaluator.report());
            prop_assert_eq!(once.ties, Ties::of(rule, &overlap).unwrap());
            prop_assert_eq!(overlap.miou(&matching).unwrap(), once.report.miou);
            prop_assert_eq!(once.matching, matching);
            if let (Some(range), Some(miou)) = (once.ties.miou, once.report.miou) {
                prop_assert!(range.lowest <= miou && miou <= range.highest);
            }
        }
    }

    #[test]
    fn relabelling_predictions_leaves_matched_scores_unchanged(
        pictures in pictures(),
        names in Just((1..=CLASSES).collect::<Vec<u16>>()).prop_shuffle(),
        protocol in protocol(),
    ) {
        let other: Vec<Picture> = pictures.iter().map(|picture| renamed(picture, &names)).collect();
        let (ours, theirs) = (Sums::of(protocol, &pictures), Sums::of(protocol, &other));
        for rule in MatchingRule::ALL {
            let fit = |sums: &Sums| Matching::fit(rule, &sums.overlap).unwrap();
            let ties = |sums: &Sums| Ties::of(rule, &sums.overlap).unwrap();
            let (a, b) = (ties(&ours), ties(&theirs));
            prop_assert_eq!(fit(&ours).total(), fit(&theirs).total());
            prop_assert_eq!(
                (a.unique, a.clusters_with_choice, a.assignments),
                (b.unique, b.clusters_with_choice, b.assignments)
            );
            if a.unique {
                let score = |pictures: &[Picture], sums| matched(pictures, &fit(sums), protocol);
                prop_assert_eq!(score(&pictures, &ours), score(&other, &theirs));
            }
            if let (Some(a), Some(b)) = (a.miou, b.miou) && a.exact {
                let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
                prop_assert!(close(a.lowest, b.lowest) && close(a.highest, b.highest));
                let miou = matched(&pictures, &fit(&ours), protocol).report().miou.unwrap();
                prop_assert!(a.lowest - 1e-9 <= miou && miou <= a.highest + 1e-9);
            }
        }
    }

    /// Where the published policies count against it, the pictures leave them nothing to count: no
    /// ignored pixels where their seams are boundaries, and no absent class or foreground.
    #[test]
    fn a_perfect_prediction_scores_one_or_nothing_under_every_policy(
        pictures in pictures(),
        protocol in protocol(),
    ) {
        let mut pictures = pictures;
        let ignores = protocol.boundary_ignore == BoundaryIgnore::Transparent;
        for Picture { prediction, truth, .. } in &mut pictures {
            for (p, t) in prediction.labels_mut().iter_mut().zip(truth.labels_mut()) {
                *t = if *t == IGNORE && !ignores { 0 } else { *t };
                // Whatever is predicted where the truth is ignored.
                *p = if *t == IGNORE { *p } else { *t };
            }
        }
        let is_class = |label: &u16| (1..=CLASSES).contains(label);
        if protocol.absent_class == AbsentClass::Zero {
            pictures.retain(|picture| picture.truth.labels().iter().any(is_class));
            pictures.push(picture_of_all_labels());
        }
        for score in all_scores(&Sums::of(protocol, &pictures).evaluator.report()) {
            prop_assert!(score.is_none_or(|score| score == 1.0), "{score:?}");
        }
    }

    #[test]
    fn scores_are_ratios(pictures in pictures(), protocol in protocol(), stray in any::<bool>()) {
        let mut evaluator = Evaluator::new(protocol);
        let mut pictures = pictures;
        if stray && protocol.out_of_range == OutOfRange::Drop {
            replace_last_class(&mut pictures, 900);
        }
        for picture in pictures {
            evaluator.add(&picture.prediction, &picture.truth).unwrap();
        }
        let counted = evaluator.areas().mask.truth().iter().sum::<u64>() > 0;
        let report = evaluator.report();
        for score in all_scores(&report) {
            prop_assert!(score.is_none_or(|score| (0.0..=1.0).contains(&score)), "{score:?}");
            prop_assert!(counted || score.is_none(), "{score:?} of nothing");
        }
        prop_assert_eq!(report.aacc.is_some(), counted && (protocol.score_other || evaluator.areas().mask.truth()[1..].iter().any(|n| *n > 0)));
    }

    #[test]
    fn the_boundary_is_what_erosion_takes_from_each_label(picture in picture(), thickness_px in 0usize..5) {
        let mask = &picture.prediction;
        prop_assert_eq!(boundary_map(mask, thickness_px), boundary_by_erosion(mask, thickness_px));
    }

    #[test]
    fn a_bootstrap_repeats(pictures in pictures(), seed: u64, protocol in protocol()) {
        let count = |picture: &Picture| ImageCounts::new(&picture.prediction, &picture.truth, CLASSES, &protocol).unwrap();
        let images: Vec<ImageCounts> = pictures.iter().map(count).collect();
        let fit = Fit::Refit { rule: MatchingRule::ImageLevel, clusters: CLASSES };
        let predictions = Predictions { images: &images, fit };
        let run = |threads| {
            let bootstrap = Bootstrap { threads, ..Bootstrap::new(seed, 5) };
            let intervals = bootstrap.intervals(&predictions, &protocol).unwrap();
            (intervals.scores, intervals.boundary_exact)
        };
        let (scores, exact) = run(1);
        prop_assert!(exact);
        prop_assert_eq!(&scores, &run(3).0);
    }

    #[test]
    fn a_damaged_state_is_refused_or_usable(
        pictures in pictures(),
        damage in vec((any::<Index>(), hostile_number()), 1..4),
    ) {
        let protocol = Protocol { ignore: IGNORE, ..Protocol::new(CLASSES) };
        let mut sums = Sums::of(protocol, &pictures);
        if let Some(evaluator) = damaged(&sums.evaluator, &damage) { sums.evaluator = evaluator; }
        if let Some(matched) = damaged(&sums.matched, &damage) { sums.matched = matched; }
        if let Some(confusion) = damaged(&sums.confusion, &damage) { sums.confusion = confusion; }
        if let Some(table) = damaged(&sums.table, &damage) { sums.table = table; }
        if let Some(overlap) = damaged(&sums.overlap, &damage) { sums.overlap = overlap; }
        if let Some(curve) = damaged(&sums.curve, &damage) { sums.curve = curve; }
        if let Some(attention) = damaged(&sums.attention, &damage) { sums.attention = attention; }
        use_sums(&mut sums, &pictures[0]);
        let matching = damaged(&Matching::identity(CLASSES), &damage);
        if let Some(matching) = &matching {
            let _ = matching.apply(&pictures[0].prediction);
            let _ = sums.overlap.miou(matching);
        }
        let image = ImageCounts::new(&pictures[0].prediction, &pictures[0].truth, CLASSES, &protocol).unwrap();
        if let Some(image) = damaged(&image, &damage) {
            let _ = Evaluator::new(protocol).add_counts(&image);
            let _ = Overlap::new(CLASSES, protocol).add_counts(&image);
            let _ = matching.map(|matching| image.matched(&matching, &protocol));
            let predictions = Predictions { images: &[image], fit: Fit::AsTheyAre };
            let _ = Bootstrap::new(1, 2).intervals(&predictions, &protocol);
        }
    }
}
