//! What ended without an error and is of little or no use: found in the results of steps, told behind
//! the step, and gathered at the end of the pipeline in the verdict on the run.

pub(crate) mod masks;

use std::path::Path;

use pass_model::method::Chance;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Context, Error, RunFile, Step,
    health::{OverChance, TIME_TO_LEARN},
    run_file::LabelWay,
    step::{
        evaluate::Metrics, labels::LabelsSummary, predict::PredictSummary,
        threshold::SweptThreshold,
    },
    watch::verdict::Grade,
};

/// Fewer images than this in a cluster, in the mean, make no category.
const IMAGES_A_CLUSTER: usize = 10;

/// Numbers of a list that are shown.
const SHOWN: usize = 10;

/// Mean NMI of restarts below which another seed would give other clusters.
const STABLE: f64 = 0.6;

/// What helps where a network has learned too little.
pub(crate) const LEARN_MORE: &str = "begin a run with a pretrained backbone (--backbone NAME=FILE), or \
     train longer (--set pretrain.epochs=N --rerun pretrain)";

/// The same where the backbone has learned elsewhere.
const ANOTHER_BACKBONE: &str = "try another backbone (--backbone NAME=FILE), ask for fewer classes (--classes), \
     or add images";

/// What helps where there are too many clusters.
const FEWER_CLASSES: &str = "ask for fewer classes (--classes), or add images";

/// What helps where labels have no foreground.
pub(crate) const WITHOUT_FOREGROUND: &str = "attention or clusters have learned too little for any \
     threshold to beat empty masks; look whether the swapped losses in log.jsonl fell clearly below \
     ln K, train longer, or start in another --run with a rule that always leaves foreground: \
     --set threshold.rule={foreground_share=0.3}";

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

impl Finding {
    fn doubtful(step: Step, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            step: step.name().into(),
            grade: Grade::Doubtful,
            what: what.into(),
            advice: advice.into(),
        }
    }

    fn failed(step: Step, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            grade: Grade::Failed,
            ..Self::doubtful(step, what, advice)
        }
    }

    /// With advice that suits a backbone with weights from elsewhere, where it has those.
    fn advised(mut self, imported: bool) -> Self {
        if imported && self.advice == LEARN_MORE {
            self.advice = ANOTHER_BACKBONE.into();
        }
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            step, what, advice, ..
        } = self;
        write!(f, "{step}: {what}; {advice}")
    }
}

/// Tells what was found in the result of a step.
pub(crate) fn tell(context: &Context, findings: &[Finding]) {
    let imported = is_imported(context);
    for finding in findings.iter().cloned() {
        context.warn(&format!("warning: {}", finding.advised(imported)));
    }
}

/// Whether step 1 has taken weights from elsewhere.
fn is_imported(context: &Context) -> bool {
    let done = context.run.is_done(Step::Pretrain);
    let summary = done.then(|| context.run.summary::<Value>(Step::Pretrain));
    summary.is_some_and(|summary| summary.is_ok_and(|of| of.get("imported").is_some()))
}

/// What is found in the results of all steps that have finished, in their order.
///
/// # Errors
///
/// A result that cannot be read.
pub(crate) fn of_run(context: &Context) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for step in Step::all().filter(|&step| context.run.is_done(step)) {
        found.extend(of_step(context, step)?);
    }
    let imported = is_imported(context);
    Ok(found.into_iter().map(|of| of.advised(imported)).collect())
}

fn of_step(context: &Context, step: Step) -> Result<Vec<Finding>, Error> {
    let summary: Value = context.run.summary(step)?;
    let path = context.run.done_mark(step);
    Ok(match step {
        Step::Pretrain => of_pretraining(&path, &summary, &context.file)?,
        // Imported centroids have no sizes.
        Step::Cluster if summary.get("sizes").is_some() => {
            let clusters: Clusters = parsed(&path, summary)?;
            of_clusters(&clusters.sizes, clusters.stability)
        }
        Step::GenerateLabels => {
            let summary: LabelsSummary = parsed(&path, summary)?;
            let mut found = of_labels(context, &summary);
            if let Some(counts) = &summary.result {
                found.extend(masks::of_masks(step, counts));
            }
            found
        }
        Step::SweepThreshold => {
            let chosen = context.run.file("threshold.json");
            of_threshold(&context.run.read_json(&chosen)?)
        }
        // Runs of former versions have a number there.
        Step::Predict if summary.is_object() => {
            masks::of_masks(step, &parsed::<PredictSummary>(&path, summary)?.counts)
        }
        Step::Evaluate => of_scores(&context.run.read_json(&context.run.file("metrics.json"))?),
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
fn of_pretraining(path: &Path, summary: &Value, file: &RunFile) -> Result<Vec<Finding>, Error> {
    let loss = match summary["swapped_over_ln_k"].as_f64() {
        Some(ratio) => {
            let chance = Chance::of_swapped_prediction(file.network.prototypes);
            Some(OverChance::new(chance, ratio))
        }
        None => parsed(path, summary["loss_over_chance"].clone())?,
    };
    let unlearned = loss.filter(OverChance::is_unlearned);
    let unlearned = unlearned.map(|loss| {
        let advice = format!("{LEARN_MORE}; with {}", loss.remedy);
        Finding::failed(Step::Pretrain, loss.end_words(), advice)
    });
    let few = match [&summary["epochs"], &summary["pictures"]].map(Value::as_u64) {
        [Some(epochs), Some(images)] => of_few_updates(epochs, images, file.pretrain.batch as u64),
        _ => None,
    };
    Ok(unlearned.into_iter().chain(few).collect())
}

/// In the updates that step 1 had. Without an epoch it is a control that is to learn nothing.
fn of_few_updates(epochs: u64, images: u64, batch: u64) -> Option<Finding> {
    let updates = epochs * (images / batch);
    let few = epochs > 0 && updates < TIME_TO_LEARN as u64;
    few.then(|| {
        let what = format!(
            "{updates} updates (epochs: {epochs}, of {images} images in batches of {batch}) are too few to \
             learn from: trainings that worked took {TIME_TO_LEARN} and more"
        );
        Finding::doubtful(Step::Pretrain, what, LEARN_MORE)
    })
}

/// In a number of images that are to be dealt out to so many clusters.
pub(crate) fn of_few_images(images: usize, clusters: usize) -> Option<Finding> {
    let few = images < IMAGES_A_CLUSTER * clusters;
    few.then(|| {
        let what = format!(
            "{images} images for {clusters} clusters are fewer than {IMAGES_A_CLUSTER} each, of which no \
             categories can be learned"
        );
        Finding::doubtful(Step::Cluster, what, FEWER_CLASSES)
    })
}

/// In the sizes of clusters, and in how far restarts agree (mean NMI).
pub(crate) fn of_clusters(sizes: &[usize], stability: Option<f64>) -> Vec<Finding> {
    let images: usize = sizes.iter().sum();
    let few = of_few_images(images, sizes.len());
    few.into_iter()
        .chain(of_empty_clusters(sizes))
        .chain(of_largest_cluster(sizes, images))
        .chain(of_instability(stability))
        .collect()
}

fn of_empty_clusters(sizes: &[usize]) -> Option<Finding> {
    let empty = ids(sizes.iter().map(|&size| size == 0));
    let (count, all) = (empty.len(), sizes.len());
    (count > 0).then(|| {
        let what = format!(
            "{count} of {all} clusters hold no image ({}): too many images have the same embedding",
            listed("id", &empty)
        );
        Finding::doubtful(Step::Cluster, what, FEWER_CLASSES)
    })
}

/// Where one holds more than half; of two clusters, more than three quarters.
fn of_largest_cluster(sizes: &[usize], images: usize) -> Option<Finding> {
    let (cluster, &size) = sizes.iter().enumerate().max_by_key(|(_, size)| **size)?;
    let share = size as f64 / images.max(1) as f64;
    let most = f64::max(0.5, 1.5 / sizes.len() as f64);
    (share > most).then(|| {
        let mut others = sizes.to_vec();
        others.sort_unstable_by(|a, b| b.cmp(a));
        let what = format!(
            "cluster {} holds {size} of {images} images, {:.0} % ({}): most embeddings are nearly alike, so \
             step 1 or the attention has learned little, or the images are alike",
            cluster + 1,
            100.0 * share,
            listed("sizes", &others)
        );
        Finding::doubtful(Step::Cluster, what, LEARN_MORE)
    })
}

fn of_instability(stability: Option<f64>) -> Option<Finding> {
    let stability = stability.filter(|&nmi| nmi < STABLE)?;
    let what = format!(
        "restarts of k-means agree little (mean NMI {stability:.2}, of 1): another seed would find other \
         categories"
    );
    Some(Finding::doubtful(Step::Cluster, what, FEWER_CLASSES))
}

/// In the choice of the threshold.
pub(crate) fn of_threshold(swept: &SweptThreshold) -> Vec<Finding> {
    let found = |best: f32| {
        let what = format!(
            "with the threshold of the best validation mIoU, {best}, every pixel of the training images is \
             background, since empty masks score better than those that were found; {} is taken, the best \
             that leaves foreground, and what is learned from it will be poor",
            swept.chosen.threshold
        );
        Finding::failed(Step::SweepThreshold, what, LEARN_MORE)
    };
    swept
        .best_without_foreground
        .map(found)
        .into_iter()
        .collect()
}

/// In the pseudo labels of the training images.
pub(crate) fn of_labels(context: &Context, labels: &LabelsSummary) -> Vec<Finding> {
    let all_foreground = context.file.cluster.way == LabelWay::PixelLevel;
    of_foreground(labels.foreground, &labels.cells, all_foreground)
}

fn of_foreground(foreground: f64, cells: &[u64], all_foreground: bool) -> Vec<Finding> {
    let step = Step::GenerateLabels;
    if foreground == 0.0 {
        let what = "the pseudo labels have no foreground, every pixel is background";
        return vec![Finding::failed(step, what, WITHOUT_FOREGROUND)];
    }
    let full = (foreground == 1.0 && !all_foreground).then(|| {
        let what = "every pixel of the pseudo labels is foreground, none is background: the attention tells \
                    nothing apart, or the threshold is too low";
        Finding::doubtful(step, what, "see threshold.json, or take another `threshold.rule`")
    });
    let absent = ids(cells.iter().map(|&cells| cells == 0));
    let (count, all) = (absent.len(), cells.len());
    let absent = (count > 0).then(|| {
        let what = format!(
            "{count} of {all} categories have no foreground pixel in the pseudo labels ({}), so they cannot \
             be learned: their clusters are empty, or lie below the threshold as a whole",
            listed("id", &absent)
        );
        Finding::doubtful(step, what, FEWER_CLASSES)
    });
    full.into_iter().chain(absent).collect()
}

/// In the scores, where what learns nothing was scored too.
pub(crate) fn of_scores(metrics: &Metrics) -> Vec<Finding> {
    let labels = || {
        metrics
            .get("pseudo_labels")
            .map(|scores| ("pseudo_labels", scores))
    };
    let fine_tuned = metrics.get("fine_tuned");
    let ours = fine_tuned
        .map(|scores| ("fine_tuned", scores))
        .or_else(labels);
    let baselines = metrics.iter().filter(|(name, _)| is_baseline(name));
    let best = baselines.max_by(|a, b| a.1.miou.total_cmp(&b.1.miou));
    let beaten = ours
        .zip(best)
        .filter(|((_, ours), (_, best))| best.miou >= ours.miou);
    let found = beaten.map(|((own, ours), (name, best))| {
        let [ours, best] = [ours.miou, best.miou].map(|miou| 100.0 * miou);
        let what = format!("{name}, which learns nothing, scores mIoU {best:.1}, {own} {ours:.1}");
        Finding::failed(Step::Evaluate, what, LEARN_MORE)
    });
    found.into_iter().collect()
}

/// Whether a row of the metrics is of a control that has learned nothing.
fn is_baseline(name: &str) -> bool {
    let of_ellipse = ["single_cluster", "random_cluster", "colour_clusters"].contains(&name);
    of_ellipse || name == "untrained_fine_tuned"
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

    #[track_caller]
    pub(super) fn assert_found(found: &[Finding], words: &[&str]) {
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (found, words) in found.iter().zip(words) {
            let found = found.to_string();
            assert!(found.contains(words), "no {words:?} in {found}");
        }
    }

    #[test]
    fn clusters_that_are_empty_crowded_or_too_many_are_found() {
        let of_sizes = |sizes: &[usize]| of_clusters(sizes, None);
        assert_found(&of_sizes(&[40, 30, 30]), &[]);
        assert_found(&of_sizes(&[60, 40]), &[]);
        assert_found(&of_sizes(&[100]), &[]);
        assert_found(&of_sizes(&[8, 8, 8]), &["24 images for 3 clusters"]);
        assert_found(
            &of_sizes(&[50, 0, 49, 0, 1]),
            &["2 of 5 clusters hold no image (id 2, 4)"],
        );
        let crowded = of_sizes(&[2, 95, 3]);
        assert_found(
            &crowded,
            &["cluster 2 holds 95 of 100 images, 95 % (sizes 95, 3, 2)"],
        );
        assert_found(&of_sizes(&[80, 20]), &["cluster 1 holds 80"]);
    }

    #[test]
    fn restarts_that_do_not_agree_are_found() {
        assert_found(&of_clusters(&[40, 30], Some(0.9)), &[]);
        let found = of_clusters(&[40, 30], Some(0.31));
        assert_found(&found, &["agree little (mean NMI 0.31"]);
    }

    #[test]
    fn nobody_is_told_to_take_a_pretrained_backbone_who_has_one() {
        let crowded = of_clusters(&[2, 95, 3], None).remove(0);
        assert_eq!(crowded.clone().advised(false).advice, LEARN_MORE);
        assert_eq!(crowded.advised(true).advice, ANOTHER_BACKBONE);
        let few = of_few_images(3, 2).unwrap();
        assert_eq!(few.clone().advised(true), few);
    }

    #[test]
    fn labels_without_foreground_without_background_or_without_a_category_are_found() {
        assert_found(&of_foreground(0.3, &[5, 6], false), &[]);
        assert_found(&of_foreground(0.0, &[0, 0], false), &["have no foreground"]);
        assert_found(&of_foreground(1.0, &[5, 6], false), &["none is background"]);
        assert_found(&of_foreground(1.0, &[5, 6], true), &[]);
        let absent = of_foreground(0.3, &[5, 0, 6, 0], false);
        assert_found(
            &absent,
            &["2 of 4 categories have no foreground pixel in the pseudo labels (id 2, 4)"],
        );
        assert_found(&of_foreground(0.3, &[], false), &[]); // of a former version
    }

    #[test]
    fn too_few_updates_are_found_with_how_they_came_about() {
        let few = of_few_updates(15, 100, 32).unwrap().to_string();
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
            miou,
            boundary_miou: 0.0,
            image_accuracy: 0.0,
            f_beta: 0.0,
            miou_without_other: 0.0,
        };
        let found = |rows: &[(&str, f64)]| {
            let rows = rows
                .iter()
                .map(|&(name, miou)| (name.to_owned(), scores(miou)));
            of_scores(&rows.collect())
        };
        let rows = [
            ("fine_tuned", 0.017),
            ("pseudo_labels", 0.3),
            ("colour_clusters", 0.112),
        ];
        assert_found(
            &found(&rows),
            &["colour_clusters, which learns nothing, scores mIoU 11.2"],
        );
        assert_found(&found(&[("fine_tuned", 0.4), ("single_cluster", 0.1)]), &[]);
        assert_found(
            &found(&[("fine_tuned", 0.4), ("swav_only_fine_tuned", 0.5)]),
            &[],
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
        };
        let told = of_summary(json!({ "loss_over_chance": OverChance::new(own, 0.99) }));
        let said = told[0].to_string();
        assert!(
            said.contains("contrast loss ended at 1.98 where ln B"),
            "{said}"
        );
        assert!(said.ends_with("with a larger batch") && !said.contains("prototypes"));
    }
}
