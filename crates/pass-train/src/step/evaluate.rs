//! The numbers: predicted masks of the validation pictures against the true ones.

use std::collections::BTreeMap;

use imagenet_s::{Sample, Split};
use luss_metrics::{
    CoOccurrence, Evaluator, LabelMask, MatchedEvaluator, Matching, MatchingRule, OTHER, Protocol,
    Report,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Progress, Step};

/// Pictures whose masks are read at a time.
const CHUNK: usize = 64;

/// The scores of one result, ratios in `0..=1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean IoU over OTHER and the classes.
    pub miou: f64,
    /// Mean boundary IoU.
    pub boundary_miou: f64,
    /// Share of pictures whose largest predicted category is in the picture.
    pub image_accuracy: f64,
    /// Mean F-beta of foreground against OTHER, β² = 0.3.
    pub f_beta: f64,
    /// Mean IoU over the classes alone.
    pub miou_without_other: f64,
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
pub enum Match {
    /// One to one by image-level co-occurrence on the evaluated pictures.
    ImageLevel,
    /// They are classes already.
    None,
}

/// Scores every result that the run holds and leaves `metrics.json`, `evaluation/NAME.json`, and
/// `match.json` and `categories.json` of the result.
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
        let mut names = vec!["pseudo_labels", context.result()];
        names.dedup();
        for name in names {
            let (report, matching) = score(context, name, Match::ImageLevel)?;
            store(context, name, &report, &mut metrics)?;
            if name == context.result() {
                keep_matching(context, &matching)?;
            }
        }
        if context.run.is_done(Step::DistanceMatching) {
            let (report, _) = score(context, "distance_matching", Match::None)?;
            store(context, "distance_matching", &report, &mut metrics)?;
        }
    }
    context
        .run
        .write_json(&context.run.file("metrics.json"), &metrics)?;
    context.run.finish(Step::Evaluate, &metrics)?;
    Ok(metrics)
}

/// Leaves `match.json`, and `categories.json` with the names that follow for the generated ids, from 1 on.
fn keep_matching(context: &Context, matching: &Matching) -> Result<(), Error> {
    let run = &context.run;
    run.write_text(&run.file("match.json"), &matching.to_json())?;
    let classes = context.data.class_names();
    if classes.is_empty() {
        return Ok(());
    }
    let names = category_names_by(Some(matching), classes, matching.clusters());
    run.write_json(&run.file("categories.json"), &names)
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

/// Scores the masks of one result on the validation pictures.
fn score(context: &Context, name: &str, how: Match) -> Result<(Report, Matching), Error> {
    let classes = context.data.classes();
    let protocol = Protocol::new(classes);
    let samples = context.data.samples(Split::Validation);
    let masks = |index: usize| {
        let prediction = predicted(context, name, &samples[index])?;
        Ok((prediction, context.truth(&samples[index])?))
    };
    let total = samples.len() as u64;
    let mut progress = Progress::new(context.verbosity, format!("score {name}"), total, "masks");
    let scored = match how {
        Match::ImageLevel => matched_score(classes, samples.len(), masks, &mut progress)?,
        Match::None => {
            let mut evaluator = Evaluator::new(protocol);
            for_each_pair(samples.len(), &masks, &mut progress, |prediction, truth| {
                evaluator.add(prediction, truth)
            })?;
            (evaluator.report(), Matching::identity(classes))
        }
    };
    progress.finish();
    Ok(scored)
}

/// Matches as many clusters as classes by pictures, and scores them. `masks` reads prediction and truth of
/// a picture.
pub(crate) fn matched_score(
    classes: u16,
    pictures: usize,
    masks: impl Fn(usize) -> Result<(LabelMask, LabelMask), Error> + Sync,
    progress: &mut Progress,
) -> Result<(Report, Matching), Error> {
    let rule = MatchingRule::ImageLevel;
    let mut evaluator = MatchedEvaluator::new(rule, classes, Protocol::new(classes));
    for_each_pair(pictures, &masks, progress, |prediction, truth| {
        evaluator.add(prediction, truth)
    })?;
    evaluator.finish(masks)
}

/// Hands prediction and truth of each picture to `visit`, in order; masks are read in parallel.
fn for_each_pair(
    pictures: usize,
    masks: &(impl Fn(usize) -> Result<(LabelMask, LabelMask), Error> + Sync),
    progress: &mut Progress,
    mut visit: impl FnMut(&LabelMask, &LabelMask) -> Result<(), luss_metrics::Error>,
) -> Result<(), Error> {
    for start in (0..pictures).step_by(CHUNK) {
        let chunk = (start..pictures.min(start + CHUNK)).into_par_iter();
        let pairs: Vec<_> = chunk.map(masks).collect::<Result<_, Error>>()?;
        for (prediction, truth) in pairs {
            visit(&prediction, &truth)?;
            progress.advance(1);
        }
    }
    Ok(())
}

pub(crate) fn fitted_matching(context: &Context, name: &str) -> Result<Matching, Error> {
    let classes = context.data.classes();
    let mut counts = CoOccurrence::new(classes, classes);
    for sample in context.data.samples(Split::Validation) {
        counts.add(&predicted(context, name, sample)?, &context.truth(sample)?)?;
    }
    Ok(Matching::image_level(&counts)?)
}

/// The mask of a result, as it lies in the run directory.
pub(crate) fn predicted(
    context: &Context,
    name: &str,
    sample: &Sample,
) -> Result<LabelMask, Error> {
    context.read_mask(name, Split::Validation, &sample.key)
}
