//! What ended without an error and is of little or no use: found in the results of steps, told behind
//! the step, and gathered at the end of the pipeline in the verdict on the run.

mod advice;
mod clusters;
mod labels;
pub(crate) mod masks;
mod objects;

use std::path::Path;

use pass_model::method::Chance;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Context, Error, RunFile, Step,
    health::{OverChance, TIME_TO_LEARN},
    step::{evaluate::Metrics, predict::PredictSummary},
    watch::verdict::Grade,
};
use advice::{Advice, Situation};
pub(crate) use clusters::{of_clusters, of_few_images};
pub(crate) use labels::{of_labels, of_threshold};
pub(crate) use objects::of_objects;

/// Numbers of a list that are shown.
const SHOWN: usize = 10;

/// The steps that tell what is found in their result as soon as they have finished.
const TELLING: [Step; 5] = [
    Step::FindObjects,
    Step::Cluster,
    Step::SweepThreshold,
    Step::GenerateLabels,
    Step::Predict,
];

/// Something that was found in the result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the step.
    pub step: String,
    /// What it says about the run.
    pub grade: Grade,
    /// What was found.
    pub what: String,
    /// What to try.
    pub advice: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            step, what, advice, ..
        } = self;
        write!(f, "{step}: {what}; {advice}")
    }
}

/// A [`Finding`] before it is known what helps in the run that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    step: Step,
    grade: Grade,
    what: String,
    advice: Advice,
}

impl Found {
    fn doubtful(step: Step, what: impl Into<String>, advice: Advice) -> Self {
        Self {
            step,
            grade: Grade::Doubtful,
            what: what.into(),
            advice,
        }
    }

    fn failed(step: Step, what: impl Into<String>, advice: Advice) -> Self {
        Self {
            grade: Grade::Failed,
            ..Self::doubtful(step, what, advice)
        }
    }

    fn in_words(self, situation: Situation) -> Finding {
        Finding {
            step: self.step.name().into(),
            grade: self.grade,
            what: self.what,
            advice: self.advice.text(situation),
        }
    }
}

/// What to try in a run whose labels have no foreground.
pub(crate) fn for_any_foreground(context: &Context) -> String {
    Advice::AnyForeground.text(Situation::of(context))
}

/// Tells what was found in the result of a step.
pub(crate) fn tell(context: &Context, found: &[Found]) {
    let situation = Situation::of(context);
    for found in found.iter().cloned() {
        context.warn(&format!("warning: {}", found.in_words(situation)));
    }
}

/// Tells the findings of a run, but those that a step has told which had not finished `before`.
pub(crate) fn tell_untold(context: &Context, findings: &[Finding], before: &[Step]) {
    let told = |name: &str| {
        let mut now = TELLING.iter().filter(|step| !before.contains(step));
        now.any(|step| step.name() == name)
    };
    for finding in findings.iter().filter(|finding| !told(&finding.step)) {
        context.warn(&format!("warning: {finding}"));
    }
}

/// What is found in the results of all steps of the run that have finished, in their order.
///
/// # Errors
///
/// A result that cannot be read.
pub(crate) fn of_run(context: &Context) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for step in finished(context) {
        found.extend(of_step(context, step)?);
    }
    let situation = Situation::of(context);
    let in_words = found.into_iter().map(|of: Found| of.in_words(situation));
    Ok(in_words.collect())
}

/// The steps that have finished and are part of the run: what another setting has left is not.
pub(crate) fn finished(context: &Context) -> impl Iterator<Item = Step> {
    let taken = Step::all().filter(|step| step.left_out(&context.file).is_none());
    taken.filter(|&step| context.run.is_done(step))
}

fn of_step(context: &Context, step: Step) -> Result<Vec<Found>, Error> {
    let summary: Value = context.run.summary(step)?;
    let path = context.run.done_mark(step);
    Ok(match step {
        Step::Pretrain => of_pretraining(&path, &summary, &context.file)?,
        Step::FindObjects => {
            let found = of_objects(&context.file.objects, &parsed(&path, summary)?);
            found.into_iter().collect()
        }
        // Imported centroids have no sizes.
        Step::Cluster if summary.get("sizes").is_some() => {
            let Clusters { sizes, stability } = parsed(&path, summary)?;
            let few = of_few_images(sizes.iter().sum(), sizes.len());
            few.into_iter()
                .chain(of_clusters(&sizes, stability))
                .collect()
        }
        Step::GenerateLabels => of_labels(context, &parsed(&path, summary)?),
        Step::SweepThreshold => {
            let chosen = context.run.file("threshold.json");
            of_threshold(&context.run.read_json(&chosen)?)
        }
        // Runs of former versions have a number there.
        Step::Predict if summary.is_object() => {
            masks::of_masks(step, &parsed::<PredictSummary>(&path, summary)?.counts)
        }
        Step::Evaluate => {
            let metrics = context.run.read_json(&context.run.file("metrics.json"))?;
            of_scores(&metrics, context.result()).into_iter().collect()
        }
        _ => Vec::new(),
    })
}

/// Of `done/cluster.json`.
#[derive(Deserialize)]
struct Clusters {
    sizes: Vec<usize>,
    stability: Option<f64>,
}

fn parsed<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|cause| Error::Damaged {
        path: path.into(),
        cause: cause.to_string(),
    })
}

/// In the summary of step 1, which has the mean loss of its last epoch. Runs of former versions
/// have a number there; imported weights have neither.
fn of_pretraining(path: &Path, summary: &Value, file: &RunFile) -> Result<Vec<Found>, Error> {
    let loss = match summary["swapped_over_ln_k"].as_f64() {
        Some(ratio) => {
            let chance = Chance::of_swapped_prediction(file.network.prototypes);
            Some(OverChance::new(chance, ratio))
        }
        None => parsed(path, summary["loss_over_chance"].clone())?,
    };
    let unlearned = loss.filter(OverChance::is_unlearned);
    let unlearned = unlearned.map(|loss| {
        let what = loss.end_words();
        Found::failed(Step::Pretrain, what, Advice::LearnMoreWith(loss.remedy))
    });
    let few = match [&summary["epochs"], &summary["pictures"]].map(Value::as_u64) {
        [Some(epochs), Some(images)] => of_few_updates(epochs, images, file.pretrain.batch as u64),
        _ => None,
    };
    Ok(unlearned.into_iter().chain(few).collect())
}

/// In the updates that step 1 had. Without an epoch it is a control that is to learn nothing.
fn of_few_updates(epochs: u64, images: u64, batch: u64) -> Option<Found> {
    let updates = epochs * (images / batch);
    let few = epochs > 0 && updates < TIME_TO_LEARN as u64;
    few.then(|| {
        let what = format!(
            "{updates} updates (epochs: {epochs}, of {images} images in batches of {batch}) are too few to \
             learn from: trainings that worked took {TIME_TO_LEARN} and more"
        );
        Found::doubtful(Step::Pretrain, what, Advice::LearnMore)
    })
}

/// In the scores, where what learns nothing was scored beside the result, `own`.
fn of_scores(metrics: &Metrics, own: &str) -> Option<Found> {
    let baselines = metrics.iter().filter(|(name, _)| is_baseline(name, own));
    let scored = baselines.filter_map(|(name, scores)| Some((name, scores.miou?)));
    let (name, best) = scored.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let ours = metrics.get(own)?.miou?;
    (best >= ours).then(|| {
        let [ours, best] = [ours, best].map(|miou| 100.0 * miou);
        let what = format!("{name}, which learns nothing, scores mIoU {best:.1}, {own} {ours:.1}");
        Found::failed(Step::Evaluate, what, Advice::LearnMore)
    })
}

/// Whether a row of the metrics is of a control that has learned nothing.
fn is_baseline(name: &str, own: &str) -> bool {
    let of_ellipse = ["single_cluster", "random_cluster", "colour_clusters"].contains(&name);
    of_ellipse || name.strip_prefix("untrained_") == Some(own)
}

/// The ids, from 1, for which something holds.
fn ids(holds: impl Iterator<Item = bool>) -> Vec<usize> {
    holds
        .zip(1..)
        .filter_map(|(holds, id)| holds.then_some(id))
        .collect()
}

/// The first numbers of a list.
fn listed(what: &str, numbers: &[usize]) -> String {
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(usize::to_string).collect();
    let more = if numbers.len() > SHOWN { ", …" } else { "" };
    format!("{what} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::step::evaluate::Scores;

    fn said(found: &Found) -> String {
        let situation = Situation {
            objects: false,
            classes_are_chosen: true,
            imported: false,
        };
        found.clone().in_words(situation).to_string()
    }

    #[track_caller]
    pub(super) fn assert_found(found: &[Found], words: &[&str]) {
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (found, words) in found.iter().zip(words) {
            let found = said(found);
            assert!(found.contains(words), "no {words:?} in {found}");
        }
    }

    #[test]
    fn too_few_updates_are_found_with_how_they_came_about() {
        let few = said(&of_few_updates(15, 100, 32).unwrap());
        assert!(
            few.contains("45 updates (epochs: 15, of 100 images"),
            "{few}"
        );
        assert_eq!(of_few_updates(15, 3497, 32), None);
        assert_eq!(of_few_updates(0, 100, 32), None);
    }

    #[test]
    fn a_result_below_what_learns_nothing_is_found() {
        let scores = |miou| Scores {
            miou: Some(miou),
            boundary_miou: None,
            image_accuracy: None,
            f_beta: None,
            miou_without_other: None,
        };
        let found = |own: &str, rows: &[(&str, f64)]| -> Vec<Found> {
            let rows = rows
                .iter()
                .map(|&(name, miou)| (name.to_owned(), scores(miou)));
            of_scores(&rows.collect(), own).into_iter().collect()
        };
        let rows = [
            ("fine_tuned", 0.017),
            ("pseudo_labels", 0.3),
            ("colour_clusters", 0.112),
        ];
        assert_found(
            &found("fine_tuned", &rows),
            &["colour_clusters, which learns nothing, scores mIoU 11.2"],
        );
        assert_found(&found("pseudo_labels", &rows), &[]);
        let above = [("fine_tuned", 0.4), ("single_cluster", 0.1)];
        assert_found(&found("fine_tuned", &above), &[]);
        let learned = [("fine_tuned", 0.4), ("swav_only_fine_tuned", 0.5)];
        assert_found(&found("fine_tuned", &learned), &[]);
        let untrained = [
            ("pseudo_labels", 0.2),
            ("untrained_pseudo_labels", 0.2),
            ("untrained_distance_matching", 0.9),
        ];
        assert_found(
            &found("pseudo_labels", &untrained),
            &["untrained_pseudo_labels, which learns nothing, scores mIoU 20.0"],
        );
    }

    #[test]
    fn a_pretraining_at_ln_k_is_found() {
        let mut file = RunFile::default();
        file.network.prototypes = 64;
        let of_summary =
            |summary| of_pretraining("pretrain.json".as_ref(), &summary, &file).unwrap();
        let of_former = |ratio| of_summary(json!({ "swapped_over_ln_k": ratio }));
        assert_found(
            &of_former(0.976),
            &[
                "the swapped loss ended at 4.06 where ln K, its value when nothing is learned, is 4.16",
            ],
        );
        assert_found(&of_former(0.9), &[]);
        assert_found(&of_summary(json!({ "epochs": 0 })), &[]);
        let own = Chance {
            term: "contrast",
            value: 2.0,
            called: "ln B",
            remedy: "a larger batch",
            rises_first: false,
        };
        let told = of_summary(json!({ "loss_over_chance": OverChance::new(own, 0.99) }));
        let said = said(&told[0]);
        assert!(
            said.contains("contrast loss ended at 1.98 where ln B"),
            "{said}"
        );
        assert!(said.ends_with("with a larger batch") && !said.contains("prototypes"));
    }
}
