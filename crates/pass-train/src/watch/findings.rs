//! What ended without an error and is of no use: found in the results of steps, told behind the step
//! and again at the end of the pipeline, and shown on top of the report.

use std::path::Path;

use pass_model::method::Chance;
use serde_json::Value;

use crate::{
    Context, Error, Step,
    health::OverChance,
    run_file::LabelWay,
    step::{labels::LabelsSummary, predict::PredictSummary, threshold::SweptThreshold},
};

/// Fewer pictures than this in a cluster, in the mean, make no category.
const PICTURES_A_CLUSTER: usize = 10;

/// Numbers of a list that are shown.
const SHOWN: usize = 10;

/// What helps where labels have no foreground.
pub(crate) const WITHOUT_FOREGROUND: &str = "attention or clusters have learned too little for any \
     threshold to beat empty masks; look whether the swapped losses in log.jsonl fell clearly below \
     ln K, train longer, or start in another --run with a rule that always leaves foreground: \
     --set threshold.rule={foreground_share=0.3}";

/// Tells what was found in the result of a step.
pub(crate) fn tell(context: &Context, step: Step, findings: &[String]) {
    for finding in findings {
        context.warn(&format!("warning: {}: {finding}", step.name()));
    }
}

/// What is found in the results of all steps that have finished, as lines.
///
/// # Errors
///
/// A result that cannot be read.
pub(crate) fn of_run(context: &Context) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for step in Step::all().filter(|&step| context.run.is_done(step)) {
        let summary: Value = context.run.summary(step)?;
        let path = context.run.done_mark(step);
        let found = match step {
            Step::Pretrain => of_pretraining(&path, &summary)?,
            // Imported centroids have no sizes.
            Step::Cluster if summary.get("sizes").is_some() => {
                of_clusters(&parsed::<Sizes>(&path, summary)?.sizes)
            }
            Step::GenerateLabels => of_labels(context, &parsed(&path, summary)?),
            Step::SweepThreshold => {
                let chosen = context.run.file("threshold.json");
                of_threshold(&context.run.read_json(&chosen)?)
            }
            // Runs of former versions have a number there.
            Step::Predict if summary.is_object() => of_masks(&parsed(&path, summary)?),
            _ => Vec::new(),
        };
        let named = |finding| format!("{}: {finding}", step.name());
        lines.extend(found.into_iter().map(named));
    }
    Ok(lines)
}

/// Of `done/cluster.json`.
#[derive(serde::Deserialize)]
struct Sizes {
    sizes: Vec<usize>,
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|cause| Error::Damaged {
        path: path.into(),
        cause: cause.to_string(),
    })
}

/// In the summary of step 1, which has the mean loss of its last epoch. Runs of former versions
/// have a number there.
fn of_pretraining(path: &Path, summary: &Value) -> Result<Vec<String>, Error> {
    let loss = match summary["swapped_over_ln_k"].as_f64() {
        Some(ratio) => Some(OverChance::new(Chance::of_swapped_prediction(2), ratio)),
        None => parsed(path, summary["loss_over_chance"].clone())?,
    };
    let unlearned = loss.filter(OverChance::is_unlearned);
    Ok(unlearned.iter().map(ToString::to_string).collect())
}

/// In a number of pictures that are to be dealt out to so many clusters.
pub(crate) fn of_few_pictures(pictures: usize, clusters: usize) -> Option<String> {
    let few = pictures < PICTURES_A_CLUSTER * clusters;
    few.then(|| {
        format!(
            "{pictures} pictures for {clusters} clusters are fewer than {PICTURES_A_CLUSTER} each, of \
             which no categories can be learned: add pictures, or ask for fewer classes"
        )
    })
}

/// In the sizes of clusters.
pub(crate) fn of_clusters(sizes: &[usize]) -> Vec<String> {
    let pictures: usize = sizes.iter().sum();
    let few = of_few_pictures(pictures, sizes.len());
    few.into_iter()
        .chain(of_empty_clusters(sizes))
        .chain(of_largest_cluster(sizes, pictures))
        .collect()
}

fn of_empty_clusters(sizes: &[usize]) -> Option<String> {
    let empty = ids(sizes.iter().map(|&size| size == 0));
    let (count, all) = (empty.len(), sizes.len());
    (count > 0).then(|| {
        format!(
            "{count} of {all} clusters hold no picture ({}): too many pictures have the same embedding; \
             ask for fewer classes, or see whether step 1 has learned anything",
            listed("id", &empty)
        )
    })
}

/// Where one holds more than half; of two clusters, more than three quarters.
fn of_largest_cluster(sizes: &[usize], pictures: usize) -> Option<String> {
    let (cluster, &size) = sizes.iter().enumerate().max_by_key(|(_, size)| **size)?;
    let share = size as f64 / pictures.max(1) as f64;
    let most = f64::max(0.5, 1.5 / sizes.len() as f64);
    (share > most).then(|| {
        let mut others = sizes.to_vec();
        others.sort_unstable_by(|a, b| b.cmp(a));
        format!(
            "cluster {} holds {size} of {pictures} pictures, {:.0} % ({}): most embeddings are nearly \
             alike; step 1 or the attention has learned little, or the pictures are alike",
            cluster + 1,
            100.0 * share,
            listed("sizes", &others)
        )
    })
}

/// In the choice of the threshold.
pub(crate) fn of_threshold(swept: &SweptThreshold) -> Vec<String> {
    let telling = |best: f32| {
        format!(
            "with the threshold of the best validation mIoU, {best}, every pixel of the training \
             pictures is OTHER, since empty masks score better than those that were found; {} is taken, the \
             best that leaves foreground, and what is learned from it will be poor: attention or \
             clusters have learned too little; look whether the swapped losses in log.jsonl fell clearly \
             below ln K, and train longer or with another seed",
            swept.chosen.threshold
        )
    };
    swept
        .best_without_foreground
        .map(telling)
        .into_iter()
        .collect()
}

/// In the pseudo labels of the training pictures.
pub(crate) fn of_labels(context: &Context, labels: &LabelsSummary) -> Vec<String> {
    let all_foreground = context.file.cluster.way == LabelWay::PixelLevel;
    of_foreground(labels.foreground, &labels.cells, all_foreground)
}

fn of_foreground(foreground: f64, cells: &[u64], all_foreground: bool) -> Vec<String> {
    if foreground == 0.0 {
        let whole = "the pseudo labels have no foreground, every pixel is OTHER";
        return vec![format!("{whole}: {WITHOUT_FOREGROUND}")];
    }
    let full = (foreground == 1.0 && !all_foreground).then(|| {
        "every pixel of the pseudo labels is foreground, none is OTHER: the attention tells nothing \
         apart, or the threshold is too low; see threshold.json, or take another `threshold.rule`"
            .to_owned()
    });
    let absent = ids(cells.iter().map(|&cells| cells == 0));
    let (count, all) = (absent.len(), cells.len());
    let absent = (count > 0).then(|| {
        format!(
            "{count} of {all} categories have no foreground pixel in the pseudo labels ({}), so they \
             cannot be learned: their clusters are empty, or lie below the threshold as a whole; train \
             the attention longer, or ask for fewer classes",
            listed("id", &absent)
        )
    });
    full.into_iter().chain(absent).collect()
}

/// In the predictions.
pub(crate) fn of_masks(masks: &PredictSummary) -> Vec<String> {
    let used: Vec<usize> = (0..masks.pixels.len())
        .filter(|&id| masks.pixels[id] > 0)
        .collect();
    let [only] = used[..] else {
        return Vec::new();
    };
    let what = match only {
        0 => "OTHER".to_owned(),
        id => format!("category {id}"),
    };
    vec![format!(
        "every pixel of the predictions is {what}: fine-tuning has learned nothing else; look at the \
         pseudo labels and at what was found before it, or fine-tune longer or at a lower rate"
    )]
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

    #[track_caller]
    fn assert_found(found: &[String], words: &[&str]) {
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (found, words) in found.iter().zip(words) {
            assert!(found.contains(words), "no {words:?} in {found}");
        }
    }

    #[test]
    fn clusters_that_are_empty_crowded_or_too_many_are_found() {
        assert_found(&of_clusters(&[40, 30, 30]), &[]);
        assert_found(&of_clusters(&[60, 40]), &[]);
        assert_found(&of_clusters(&[100]), &[]);
        assert_found(&of_clusters(&[8, 8, 8]), &["24 pictures for 3 clusters"]);
        assert_found(
            &of_clusters(&[50, 0, 49, 0, 1]),
            &["2 of 5 clusters hold no picture (id 2, 4)"],
        );
        let crowded = of_clusters(&[2, 95, 3]);
        assert_found(
            &crowded,
            &["cluster 2 holds 95 of 100 pictures, 95 % (sizes 95, 3, 2)"],
        );
        assert_found(&of_clusters(&[80, 20]), &["cluster 1 holds 80"]);
    }

    #[test]
    fn labels_without_foreground_without_background_or_without_a_category_are_found() {
        assert_found(&of_foreground(0.3, &[5, 6], false), &[]);
        assert_found(&of_foreground(0.0, &[0, 0], false), &["have no foreground"]);
        assert_found(&of_foreground(1.0, &[5, 6], false), &["none is OTHER"]);
        assert_found(&of_foreground(1.0, &[5, 6], true), &[]);
        let absent = of_foreground(0.3, &[5, 0, 6, 0], false);
        assert_found(
            &absent,
            &["2 of 4 categories have no foreground pixel in the pseudo labels (id 2, 4)"],
        );
        assert_found(&of_foreground(0.3, &[], false), &[]); // of a former version
    }

    #[test]
    fn predictions_of_one_id_are_found() {
        let found = |pixels: &[u64]| {
            of_masks(&PredictSummary {
                seconds: 1.0,
                pixels: pixels.to_vec(),
            })
        };
        assert_found(&found(&[9, 1, 0]), &[]);
        assert_found(
            &found(&[9, 0, 0]),
            &["every pixel of the predictions is OTHER"],
        );
        assert_found(
            &found(&[0, 0, 9]),
            &["every pixel of the predictions is category 2"],
        );
    }

    #[test]
    fn a_pretraining_at_ln_k_is_found() {
        let of_summary = |summary| of_pretraining("pretrain.json".as_ref(), &summary).unwrap();
        let of_former = |ratio| of_summary(json!({ "swapped_over_ln_k": ratio }));
        assert_found(
            &of_former(0.976),
            &["the swapped loss is not clearly below ln K (0.976 of it"],
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
        let said = told.concat();
        assert!(said.contains("contrast loss is not clearly below ln B (0.990"));
        assert!(said.ends_with("has helped: a larger batch") && !said.contains("prototypes"));
    }
}
