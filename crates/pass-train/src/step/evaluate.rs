//! The numbers: predicted masks of the validation pictures against the true ones.

use std::{collections::BTreeMap, fs, path::PathBuf};

use imagenet_s::Split;
use luss_metrics::{
    Evaluator, ImageCounts, LabelMask, MatchedEvaluator, Matching, MatchingRule, OTHER, Protocol,
    Report,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Progress, RunDir, Step};

/// Pictures whose masks are read at a time.
const CHUNK: usize = 64;

/// The scores of one result, ratios in `0..=1`; none where the masks leave nothing to score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean IoU over OTHER and the classes.
    pub miou: Option<f64>,
    /// Mean boundary IoU.
    pub boundary_miou: Option<f64>,
    /// Share of pictures whose largest predicted category is in the picture.
    pub image_accuracy: Option<f64>,
    /// Mean F-beta of foreground against OTHER, β² = 0.3.
    pub f_beta: Option<f64>,
    /// Mean IoU over the classes alone.
    pub miou_without_other: Option<f64>,
}

impl From<&Report> for Scores {
    fn from(report: &Report) -> Self {
        Self {
            miou: report.miou,
            boundary_miou: report.boundary_miou,
            image_accuracy: report.image_accuracy,
            f_beta: report.f_beta,
            miou_without_other: report.miou_without_other,
        }
    }
}

/// `metrics.json`: the scores of each evaluated result, by name.
pub type Metrics = BTreeMap<String, Scores>;

/// How generated ids become classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// One to one by image-level co-occurrence on the evaluated pictures.
    ImageLevel,
    /// They are classes already.
    None,
}

/// Scores every result that the run holds and leaves `metrics.json`, `evaluation/NAME.json` with the
/// matching of its ids in `evaluation/NAME.match.json`, and `match.json` and `categories.json` of the result.
///
/// Data without validation masks leaves an empty `metrics.json`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 4; else from data or disk.
pub fn evaluate(context: &Context) -> Result<Metrics, Error> {
    context.run.begin(Step::Evaluate)?;
    let mut metrics = Metrics::new();
    if context.data.has_masks(Split::Validation) {
        let results = results(context);
        for ((name, how), (report, matching)) in results.iter().zip(score(context, &results)?) {
            store(context, name, &report, &mut metrics)?;
            if *how == Match::ImageLevel {
                keep_matching(context, name, &matching)?;
            }
        }
    }
    context
        .run
        .write_json(&context.run.file("metrics.json"), &metrics)?;
    context.run.finish(Step::Evaluate, &metrics)?;
    Ok(metrics)
}

/// What the run holds to be scored.
fn results(context: &Context) -> Vec<(&'static str, Match)> {
    let mut results = vec![
        ("pseudo_labels", Match::ImageLevel),
        (context.result(), Match::ImageLevel),
    ];
    results.dedup();
    if context.run.is_done(Step::DistanceMatching) {
        results.push(("distance_matching", Match::None));
    }
    results
}

/// Leaves `evaluation/NAME.match.json`. That of the result is `match.json` too, with the names that follow for
/// the generated ids, from 1 on, as `categories.json`.
fn keep_matching(context: &Context, name: &str, matching: &Matching) -> Result<(), Error> {
    let run = &context.run;
    run.write_text(&matching_file(run, name), &matching.to_json())?;
    if name != context.result() {
        return Ok(());
    }
    run.write_text(&run.file("match.json"), &matching.to_json())?;
    let classes = context.data.class_names();
    if classes.is_empty() {
        return Ok(());
    }
    let names = category_names_by(Some(matching), classes, matching.clusters());
    run.write_json(&run.file("categories.json"), &names)
}

fn matching_file(run: &RunDir, name: &str) -> PathBuf {
    run.file("evaluation").join(format!("{name}.match.json"))
}

/// The matching that the ids of a result were scored with.
pub(crate) fn matching_of(run: &RunDir, name: &str) -> Result<Matching, Error> {
    let path = matching_file(run, name);
    let text = fs::read_to_string(&path).map_err(|cause| cause.to_string());
    let matching =
        text.and_then(|text| Matching::from_json(&text).map_err(|cause| cause.to_string()));
    matching.map_err(|cause| Error::Damaged { path, cause })
}

/// The names of generated ids, from 1 on: of the class that each is matched to, else its number.
pub(crate) fn category_names_by(
    matching: Option<&Matching>,
    classes: &[String],
    categories: u16,
) -> Vec<String> {
    let class_of = |id| matching.map_or(OTHER, |matching| matching.class_of(id));
    let name = |id: u16| match class_of(id) {
        OTHER => format!("category {id}"),
        class => classes[usize::from(class) - 1].clone(),
    };
    (1..=categories).map(name).collect()
}

/// Adds the scores of a result, and its whole report as `evaluation/NAME.json`.
pub(crate) fn store(
    context: &Context,
    name: &str,
    report: &Report,
    metrics: &mut Metrics,
) -> Result<(), Error> {
    let path = context.run.file("evaluation").join(format!("{name}.json"));
    context.run.write_json(&path, report)?;
    metrics.insert(name.into(), report.into());
    Ok(())
}

/// Scores the masks of all results on the validation pictures.
fn score(context: &Context, results: &[(&str, Match)]) -> Result<Vec<(Report, Matching)>, Error> {
    let samples = context.data.samples(Split::Validation);
    let total = samples.len() as u64;
    let mut progress = Progress::new(context.verbosity, "score", total, "pictures");
    let masks = Masks {
        pictures: samples.len(),
        truth: |index: usize| context.truth(&samples[index]),
        predicted: |name: &str, index: usize, _: &LabelMask| {
            context.read_mask(name, Split::Validation, &samples[index].key)
        },
    };
    let scored = score_masks(results, context.data.classes(), &masks, &mut progress)?;
    progress.finish();
    Ok(scored)
}

/// What gives the masks of pictures, by their number.
struct Masks<T, P> {
    pictures: usize,
    truth: T,
    /// Those of a result, by its name, beside the truth.
    predicted: P,
}

/// Scores several results in one pass, in which each mask is read once.
fn score_masks<T, P>(
    results: &[(&str, Match)],
    classes: u16,
    masks: &Masks<T, P>,
    progress: &mut Progress,
) -> Result<Vec<(Report, Matching)>, Error>
where
    T: Fn(usize) -> Result<LabelMask, Error> + Sync,
    P: Fn(&str, usize, &LabelMask) -> Result<LabelMask, Error> + Sync,
{
    let protocol = Protocol::new(classes);
    let count = |index: usize| {
        let truth = (masks.truth)(index)?;
        let count = |(name, _): &(&str, Match)| {
            let prediction = (masks.predicted)(name, index, &truth)?;
            Ok(ImageCounts::new(&prediction, &truth, classes, &protocol)?)
        };
        results.iter().map(count).collect::<Result<Vec<_>, Error>>()
    };
    let mut scorers: Vec<_> = results
        .iter()
        .map(|(_, how)| how.scorer(protocol))
        .collect();
    for_each(masks.pictures, count, progress, |counts| {
        let mut pairs = scorers.iter_mut().zip(counts);
        pairs.try_for_each(|(scorer, counts)| scorer.add(counts))
    })?;
    let scored = scorers.into_iter().map(Scorer::finish);
    Ok(scored.collect::<Result<_, _>>()?)
}

/// Sums up the pictures of one result.
enum Scorer {
    Matched(MatchedEvaluator),
    AsItIs(Box<Evaluator>),
}

impl Match {
    fn scorer(self, protocol: Protocol) -> Scorer {
        let rule = MatchingRule::ImageLevel;
        match self {
            Self::ImageLevel => Scorer::Matched(MatchedEvaluator::new(protocol, rule)),
            Self::None => Scorer::AsItIs(Box::new(Evaluator::new(protocol))),
        }
    }
}

impl Scorer {
    fn add(&mut self, counts: ImageCounts) -> Result<(), luss_metrics::Error> {
        match self {
            Self::Matched(evaluator) => evaluator.add_counts(counts),
            Self::AsItIs(evaluator) => evaluator.add_counts(&counts),
        }
    }

    fn finish(self) -> Result<(Report, Matching), luss_metrics::Error> {
        Ok(match self {
            Self::Matched(evaluator) => {
                let matched = evaluator.finish()?;
                (matched.report, matched.matching)
            }
            Self::AsItIs(evaluator) => {
                let classes = evaluator.protocol().classes;
                (evaluator.report(), Matching::identity(classes))
            }
        })
    }
}

/// Matches the clusters of each of some `results` by pictures, as many as there are classes, and scores them.
/// `truth` and `predicted` give the masks of a picture, the latter by the name of the result.
pub(crate) fn matched_scores(
    results: &[&str],
    classes: u16,
    pictures: usize,
    truth: impl Fn(usize) -> Result<LabelMask, Error> + Sync,
    predicted: impl Fn(&str, usize, &LabelMask) -> Result<LabelMask, Error> + Sync,
    progress: &mut Progress,
) -> Result<Vec<Report>, Error> {
    let masks = Masks {
        pictures,
        truth,
        predicted,
    };
    let results: Vec<_> = results
        .iter()
        .map(|&name| (name, Match::ImageLevel))
        .collect();
    let scored = score_masks(&results, classes, &masks, progress)?;
    Ok(scored.into_iter().map(|(report, _)| report).collect())
}

/// Hands what `count` makes of each picture to `visit`, in order; pictures are counted in parallel.
fn for_each<C: Send>(
    pictures: usize,
    count: impl Fn(usize) -> Result<C, Error> + Sync,
    progress: &mut Progress,
    mut visit: impl FnMut(C) -> Result<(), luss_metrics::Error>,
) -> Result<(), Error> {
    for start in (0..pictures).step_by(CHUNK) {
        let chunk = (start..pictures.min(start + CHUNK)).into_par_iter();
        let counts: Vec<C> = chunk.map(&count).collect::<Result<_, Error>>()?;
        progress.advance(counts.len() as u64);
        counts.into_iter().try_for_each(&mut visit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use super::*;
    use crate::Verbosity;

    const RESULTS: [(&str, Match); 3] = [
        ("pseudo_labels", Match::ImageLevel),
        ("fine_tuned", Match::ImageLevel),
        ("distance_matching", Match::None),
    ];

    /// Class 1, 2 or 3 on the left half.
    fn halves(class: usize) -> LabelMask {
        let label = |pixel: usize| if pixel % 8 < 4 { class as u16 } else { 0 };
        LabelMask::new(8, 6, (0..48).map(label).collect()).unwrap()
    }

    #[test]
    fn each_mask_is_read_once_and_clusters_are_matched() {
        let pictures = CHUNK + 5;
        let reads = Mutex::new(BTreeMap::<(String, usize), u32>::new());
        let read = |name: &str, index: usize, class: usize| {
            let mut reads = reads.lock().unwrap();
            *reads.entry((name.into(), index)).or_default() += 1;
            Ok(halves(class))
        };
        let masks = Masks {
            pictures,
            truth: |index| read("truth", index, 1 + index % 3),
            predicted: |name: &str, index: usize, _: &LabelMask| {
                let shift = usize::from(name != "fine_tuned");
                read(name, index, 1 + (index + shift) % 3)
            },
        };
        let mut progress = Progress::new(Verbosity::Quiet, "score", 0, "pictures");
        let scored = score_masks(&RESULTS, 3, &masks, &mut progress).unwrap();
        let reads = reads.into_inner().unwrap();
        assert_eq!(reads.len(), 4 * pictures);
        assert!(reads.values().all(|&n| n == 1), "{reads:?}");
        let scores: Vec<_> = scored.iter().map(|(report, _)| report.miou).collect();
        // Shifted classes are right once they are matched; "other" alone is right without.
        assert_eq!(scores, [Some(1.0), Some(1.0), Some(0.25)]);
        assert_eq!(scored[0].1.class_of(2), 1);
    }
}
