//! The numbers: predicted masks of the validation pictures against the true ones.

use std::collections::BTreeMap;

use imagenet_s::{Sample, Split, read_mask};
use luss_metrics::{CoOccurrence, Evaluator, LabelMask, Matching, Protocol, Report};
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Progress, Step};

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

/// Scores every result that the run holds and leaves `metrics.json`, `evaluation/NAME.json` and the
/// `match.json` of the fine-tuned predictions.
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
        for (name, how) in [
            ("pseudo_labels", Match::ImageLevel),
            ("fine_tuned", Match::ImageLevel),
        ] {
            let (report, matching) = score(context, name, how)?;
            store(context, name, &report, &mut metrics)?;
            if name == "fine_tuned" {
                context
                    .run
                    .write_text(&context.run.file("match.json"), &matching.to_json())?;
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
    let matching = match how {
        Match::ImageLevel => fitted_matching(context, name)?,
        Match::None => Matching::identity(classes),
    };
    let mut evaluator = Evaluator::new(Protocol::new(classes));
    let samples = context.data.samples(Split::Validation);
    let mut progress = Progress::new(
        context.verbosity,
        format!("score {name}"),
        samples.len() as u64,
        "masks",
    );
    for sample in samples {
        let prediction = matching.apply(&predicted(context, name, sample)?)?;
        evaluator.add(&prediction, &context.truth(sample)?)?;
        progress.advance(1);
    }
    progress.finish();
    Ok((evaluator.report(), matching))
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
    Ok(read_mask(&context.run.mask(
        name,
        Split::Validation.name(),
        &sample.key,
    ))?)
}
