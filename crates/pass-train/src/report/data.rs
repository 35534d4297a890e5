//! Gathers what a run left behind into its report.

use std::collections::BTreeMap;

use imagenet_s::{Sample, Split, views::permutation};
use luss_metrics::{LabelMask, Matching, image_miou};
use serde_json::Value;

use crate::{
    Context, Error, RunFile, RunVerdict, Step,
    log::{LogRecord, read_log},
    report::{
        Atlas, Curve, MetricRow, ReportData, RowKind, Series, SheetRow, ShownVerdict,
        ThresholdChart, atlas_data::atlas, write_report,
    },
    run::starts::starts,
    step::{
        evaluate::{Metrics, Scores, matching_of},
        objects::suggest::suggestion_of,
        threshold::SweptThreshold,
    },
    watch::{
        findings::finished,
        log_groups::{group_of, name_in_group, unit_of},
        progress::clock,
        verdict::next_commands,
    },
};

/// Pictures on the contact sheet: this many of the best and of the worst.
const SHEET_HALF: usize = 12;

/// The results of the method; all others are controls.
const METHOD: [&str; 3] = ["pseudo_labels", "fine_tuned", "distance_matching"];

/// Writes `report.html`.
pub(crate) fn write_run_report(
    context: &Context,
    metrics: &Metrics,
    verdict: &RunVerdict,
) -> Result<(), Error> {
    let data = ReportData {
        title: format!("PASS on {}", context.data.root().display()),
        summary: summary(context)?,
        verdict: Some(ShownVerdict {
            verdict: verdict.clone(),
            next: next_commands(&context.run)
                .into_iter()
                .map(|(_, next)| next)
                .collect(),
        }),
        metrics: metric_rows(metrics, context.result()),
        curves: curves(&read_log(&context.run.file("log.jsonl"))?),
        suggestion: suggestion_of(&context.run)?,
        threshold: threshold_chart(context)?,
        atlas: shown_atlas(context)?,
        sheet: sheet(context)?,
        class_names: class_names(context),
    };
    write_report(&context.run.file("report.html"), &data)?;
    Ok(())
}

/// The atlas; none for a run whose clusters were found before there were reports of them.
fn shown_atlas(context: &Context) -> Result<Option<Atlas>, Error> {
    let path = context.run.cluster_report();
    if !path.exists() {
        context.say(&format!(
            "atlas: left out, {} is missing; run step `cluster` again",
            path.display()
        ));
        return Ok(None);
    }
    let matched = context.data.has_masks(Split::Validation);
    let matching = matched.then(|| matching_of(&context.run, "pseudo_labels"));
    atlas(context, matching.transpose()?.as_ref()).map(Some)
}

/// Names for the legend; none where nobody matched the generated categories to classes.
fn class_names(context: &Context) -> Vec<String> {
    if context.data.has_masks(Split::Validation) {
        context.data.class_names().to_vec()
    } else {
        Vec::new()
    }
}

fn summary(context: &Context) -> Result<Vec<(String, String)>, Error> {
    let file = &context.file;
    let count = |split| context.data.samples(split).len();
    let mut rows = vec![
        ("data", context.data.root().display().to_string()),
        ("classes", context.data.classes().to_string()),
        (
            "images",
            format!(
                "{} train, {} train-semi, {} validation, {} test",
                count(Split::Train),
                count(Split::TrainSemi),
                count(Split::Validation),
                count(Split::Test)
            ),
        ),
        ("seed", file.seed.to_string()),
        ("backbone", file.network.backbone.describe()),
        ("prototypes", file.network.prototypes.to_string()),
        ("epochs", epochs(file)),
    ];
    rows.extend(header(context)?);
    let owned = rows.into_iter();
    Ok(owned.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Of each training that the run takes.
fn epochs(file: &RunFile) -> String {
    let taken = Step::trainings().filter(|step| step.left_out(file).is_none());
    let each = taken.filter_map(|step| {
        let epochs = step.batches(file)?.epochs;
        Some(format!("{epochs} {}", step.name()))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// When, by what and how long: what the starts of the run have noted, and the time of its steps.
fn header(context: &Context) -> Result<Vec<(&'static str, String)>, Error> {
    let seconds = clock(seconds_of_steps(context)?);
    let mut rows = vec![("time of the last start of each step", seconds)];
    if let Some([first, last]) = starts(&context.run)? {
        rows.push(("begun", first.time));
        rows.push(("last version", last.version));
        rows.push(("last device", last.device));
        rows.push(("last command", last.command));
    }
    Ok(rows)
}

/// The sum of what the steps of the run have noted; some note a number, others a field. A step that was
/// resumed has noted what it took from there on.
fn seconds_of_steps(context: &Context) -> Result<f64, Error> {
    let mut sum = 0.0;
    for step in finished(context) {
        let summary: Value = context.run.summary(step)?;
        let seconds = summary.as_f64().or(summary["seconds"].as_f64());
        sum += seconds.unwrap_or(0.0);
    }
    Ok(sum)
}

fn metric_rows(metrics: &Metrics, result: &str) -> Vec<MetricRow> {
    let is_method = |name: &String| METHOD.contains(&name.as_str());
    let row = |kind| {
        move |(name, scores): (&String, &Scores)| MetricRow {
            name: name.clone(),
            kind,
            about: about(name, name == result),
            uses_labels: uses_labels(name),
            miou: scores.miou,
            boundary_miou: scores.boundary_miou,
            image_accuracy: scores.image_accuracy,
            f_beta: scores.f_beta,
        }
    };
    let methods = metrics.iter().filter(|(name, _)| is_method(name));
    let controls = metrics.iter().filter(|(name, _)| !is_method(name));
    let methods = methods.map(row(RowKind::Method));
    methods.chain(controls.map(row(RowKind::Control))).collect()
}

/// What a row of the metrics is.
fn about(name: &str, is_result: bool) -> &'static str {
    match name {
        "pseudo_labels" if is_result => "the result: labels of the clusters",
        "pseudo_labels" => "labels of the clusters, before fine-tuning",
        "fine_tuned" => "the result: predictions of the fine-tuned network",
        "single_cluster" => "baseline without learning: a centred ellipse, one category",
        "random_cluster" => "baseline without learning: a centred ellipse, random categories",
        "colour_clusters" => "baseline without learning: a centred ellipse, k-means of its colours",
        name if uses_labels(name) => {
            "nearest labelled pixels: uses the masks of the train-semi split"
        }
        name if name.starts_with("untrained") => "baseline: the same steps on initial weights",
        name if name.starts_with("swav_only") => "the same steps without P2P and D2S",
        _ => "",
    }
}

/// Distance matching compares with labelled pixels.
fn uses_labels(name: &str) -> bool {
    name.ends_with("distance_matching")
}

/// The curves of each training step: the terms of the loss in one chart, since they have one scale,
/// and a chart for each other number of the log, whatever it is.
fn curves(log: &[LogRecord]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for step in Step::trainings() {
        let records = log.iter().filter(|record| record.step == step.name());
        for (name, series) in series_by_name(records) {
            let group = group_of(&name);
            let together = curves
                .iter_mut()
                .find(|curve| group == "loss" && curve.group == group && curve.step == step.name());
            match together {
                Some(curve) => curve.series.push(series),
                None => curves.push(Curve {
                    step: step.name().into(),
                    group: group.into(),
                    unit: unit_of(&name).into(),
                    series: vec![series],
                }),
            }
        }
    }
    // Losses first; the sort keeps the order within a group.
    curves.sort_by_key(|curve| (curve.group != "loss", curve.group.clone()));
    curves
}

/// The points of every number that occurs in any of the records; not every record has all.
pub(crate) fn series_by_name<'a>(
    records: impl Iterator<Item = &'a LogRecord>,
) -> BTreeMap<String, Series> {
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    for record in records {
        for (name, &value) in &record.values {
            let series = all.entry(name.clone()).or_insert_with(|| Series {
                name: name_in_group(name).into(),
                points: Vec::new(),
            });
            series.points.push((record.iteration as f64, value));
        }
    }
    all
}

fn threshold_chart(context: &Context) -> Result<Option<ThresholdChart>, Error> {
    let swept: SweptThreshold = context.run.read_json(&context.run.file("threshold.json"))?;
    let note = format!("Labels used for the choice: {}.", swept.chosen.labels_used);
    Ok(Some(ThresholdChart {
        points: swept.curve,
        chosen: swept.chosen.threshold,
        note,
    }))
}

/// The best and then the worst images by their own mIoU; without masks a sample by the run's seed.
fn sheet(context: &Context) -> Result<Vec<SheetRow>, Error> {
    let split = context.shown_splits()[0];
    let samples = context.data.samples(split);
    if samples.iter().all(|sample| sample.mask.is_none()) {
        let matchings = Matchings::of(context, split)?;
        let row = |sample: &&Sample| sheet_row(context, split, sample, &matchings, None);
        return drawn(samples, context.file.seed).iter().map(row).collect();
    }
    let mut ranked = Vec::with_capacity(samples.len());
    let matchings = Matchings::of(context, split)?;
    for sample in samples {
        ranked.push((score(context, split, sample, &matchings)?, sample));
    }
    ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).expect("scores are finite"));
    let worst = ranked.len().saturating_sub(SHEET_HALF).max(SHEET_HALF);
    let best = ranked.iter().take(SHEET_HALF);
    best.chain(ranked.iter().skip(worst))
        .map(|(score, sample)| sheet_row(context, split, sample, &matchings, *score))
        .collect()
}

/// As many as a sheet has of scored ones, in the order of the data.
fn drawn(samples: &[Sample], seed: u64) -> Vec<&Sample> {
    let mut indices = permutation(samples.len(), seed, 0);
    indices.truncate(2 * SHEET_HALF);
    indices.sort_unstable();
    indices.into_iter().map(|index| &samples[index]).collect()
}

/// What turns generated ids into classes, for pseudo labels and for predictions.
struct Matchings {
    pseudo: Matching,
    prediction: Matching,
}

impl Matchings {
    fn of(context: &Context, split: Split) -> Result<Self, Error> {
        let of = |name| {
            if split == Split::Validation && context.data.has_masks(split) {
                matching_of(&context.run, name)
            } else {
                Ok(Matching::identity(context.data.classes()))
            }
        };
        Ok(Self {
            pseudo: of("pseudo_labels")?,
            prediction: of(context.result())?,
        })
    }
}

fn mask_of(
    context: &Context,
    name: &str,
    split: Split,
    sample: &Sample,
    matching: &Matching,
) -> Result<LabelMask, Error> {
    let mask = context.read_mask(name, split, &sample.key)?;
    Ok(matching.apply(&mask)?)
}

fn score(
    context: &Context,
    split: Split,
    sample: &Sample,
    matchings: &Matchings,
) -> Result<Option<f64>, Error> {
    if sample.mask.is_none() {
        return Ok(None);
    }
    let result = context.result();
    let prediction = mask_of(context, result, split, sample, &matchings.prediction)?;
    Ok(image_miou(
        &prediction,
        &context.truth(sample)?,
        context.data.classes(),
    )?)
}

fn sheet_row(
    context: &Context,
    split: Split,
    sample: &Sample,
    matchings: &Matchings,
    score: Option<f64>,
) -> Result<SheetRow, Error> {
    let other = (context.result() != "pseudo_labels").then_some(context.result());
    let prediction =
        other.map(|result| mask_of(context, result, split, sample, &matchings.prediction));
    Ok(SheetRow {
        key: sample.key.clone(),
        picture: sample.read_picture(context.file.data.odd_pictures)?,
        truth: sample
            .mask
            .is_some()
            .then(|| context.truth(sample))
            .transpose()?,
        pseudo: Some(mask_of(
            context,
            "pseudo_labels",
            split,
            sample,
            &matchings.pseudo,
        )?),
        prediction: prediction.transpose()?,
        score,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: &str, iteration: u64, values: &[(&str, f64)]) -> LogRecord {
        let values = values.iter().map(|&(name, value)| (name.into(), value));
        LogRecord {
            step: step.into(),
            epoch: 0,
            iteration,
            seconds: 1.0,
            values: values.collect(),
        }
    }

    #[test]
    fn the_row_of_the_result_says_so() {
        assert!(about("pseudo_labels", true).starts_with("the result"));
        assert!(!about("pseudo_labels", false).contains("result"));
        assert!(about("fine_tuned", true).starts_with("the result"));
    }

    #[test]
    fn epochs_are_those_of_the_trainings_that_are_taken() {
        let of = |settings: &[&str]| {
            let few = [
                "pretrain.epochs=1",
                "attention.epochs=2",
                "finetune.epochs=3",
            ];
            let settings = few.iter().chain(settings).map(ToString::to_string);
            epochs(&RunFile::parse("", "test", &settings.collect::<Vec<_>>()).unwrap())
        };
        assert_eq!(of(&[]), "1 pretrain, 2 tune_attention, 3 finetune");
        assert_eq!(of(&["cluster.way=objects"]), "1 pretrain, 3 finetune");
        assert_eq!(
            of(&["predict.predictor=labels"]),
            "1 pretrain, 2 tune_attention"
        );
    }

    #[test]
    fn a_sample_is_of_the_seed_and_not_the_first_ones() {
        let sample = |index: usize| Sample::of_file(format!("{index:03}"), "x.jpg", None);
        let samples: Vec<Sample> = (0..100).map(sample).collect();
        let keys = |seed| {
            let drawn = drawn(&samples, seed);
            drawn.iter().map(|of| of.key.clone()).collect::<Vec<_>>()
        };
        let first: Vec<String> = samples[..24].iter().map(|of| of.key.clone()).collect();
        assert_eq!(keys(3).len(), 24);
        assert_eq!(keys(3), keys(3));
        assert!(keys(3).is_sorted() && keys(3) != first && keys(3) != keys(4));
        assert_eq!(drawn(&samples[..5], 3).len(), 5);
    }

    #[test]
    fn every_number_of_the_log_is_drawn_also_one_that_comes_late() {
        let log = [
            record("pretrain", 0, &[("total", 5.0), ("p2p", -0.5), ("lr", 0.6)]),
            record(
                "pretrain",
                9,
                &[("total", 4.0), ("p2p", -0.6), ("probe/knn", 0.3)],
            ),
            record("finetune", 0, &[("cross_entropy", 2.0), ("lr", 0.1)]),
        ];
        let drawn: Vec<String> = curves(&log)
            .iter()
            .map(|curve| {
                let names: Vec<_> = curve.series.iter().map(|s| s.name.as_str()).collect();
                format!("{} {} {}", curve.group, curve.step, names.join(" "))
            })
            .collect();
        assert_eq!(
            drawn,
            [
                "loss pretrain p2p total",
                "loss finetune cross_entropy",
                "probe pretrain knn",
                "rate pretrain lr",
                "rate finetune lr",
            ]
        );
        let probe = &curves(&log)[2].series[0];
        assert_eq!(probe.points, [(9.0, 0.3)]);
    }
}
